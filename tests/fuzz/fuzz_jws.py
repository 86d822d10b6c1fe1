"""ACME requests: any body is a flattened JWS, which is read as it was written, or a problem that a client is told."""

from __future__ import annotations

from handsel.acme import jws
from handsel.acme.problems import Problem


def fuzz(data: bytes) -> None:
    """Read a request, its key if it brings one, and check its signature."""
    try:
        request = jws.parse(data)
        assert request.signed == f"{jws.encode(_head(request))}.{jws.encode(request.payload)}".encode()
        jws.verify(request, jws.read_key(request.protected.get("jwk")).key)
        request.json()
    except Problem as problem:
        assert problem.kind in ("malformed", "badPublicKey", "badSignatureAlgorithm")  # noqa: PT017
        assert problem.encode()  # noqa: PT017


def _head(request: jws.Jws) -> bytes:
    return jws.decode(request.signed.decode().partition(".")[0], "protected")
