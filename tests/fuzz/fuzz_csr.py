"""Certificate requests: any bytes are a request whose names and key are known, or a `ValueError`."""

from __future__ import annotations

from handsel.pki import csr


def fuzz(data: bytes) -> None:
    """Read a request as `finalize` does."""
    try:
        request = csr.parse(data)
    except ValueError:
        return
    assert len(data) <= csr.MAXIMUM_BYTES
    assert request.public_key_der
    assert len(list(request.names)) <= csr.MAXIMUM_NAMES
