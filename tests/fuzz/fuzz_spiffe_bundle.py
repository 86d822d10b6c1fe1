"""SPIFFE bundles: whatever comes, it is read or refused, and what was read is written and read again as the same."""

from __future__ import annotations

from handsel.authority import spiffe_bundle
from tests.support import TRUST_DOMAIN


def fuzz(data: bytes) -> None:
    try:
        bundle = spiffe_bundle.read(data, TRUST_DOMAIN)
    except ValueError:
        return
    assert spiffe_bundle.read(spiffe_bundle.write(bundle), TRUST_DOMAIN) == bundle
