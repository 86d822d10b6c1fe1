"""OCSP requests: whatever comes, it is read or malformed, and what was read has its bounds."""

from __future__ import annotations

from handsel.pki import ocsp


def fuzz(data: bytes) -> None:
    try:
        query = ocsp.parse(data)
    except ValueError:
        return
    assert 1 <= len(query.asked) <= ocsp.MOST_CERTIFICATES
    assert query.nonce is None or 1 <= len(query.nonce) <= ocsp.LONGEST_NONCE
    # What was asked can be asked again, and is the same.
    again = ocsp.parse(ocsp.request(query.asked, query.nonce))
    assert again == query
