"""JWT-SVIDs: whatever comes is refused, for nobody here signs."""

from __future__ import annotations

from handsel.agent import jwt
from handsel.errors import Refused
from tests.support import NOW

_BUNDLES = {"spiffe://a": b'{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"AA","y":"AA"}]}', "spiffe://b": b"{}"}


def fuzz(data: bytes) -> None:
    try:
        jwt.validate(data.decode("latin-1"), "bank", _BUNDLES, NOW)
    except Refused:
        return
    raise AssertionError("believed")
