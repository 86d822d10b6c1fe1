"""Names of certificates in renewal information: one spelling each, or `malformed`."""

from __future__ import annotations

from handsel.acme.certid import CertificateId
from handsel.acme.problems import Problem


def fuzz(data: bytes) -> None:
    """Read a name; what was read is written the same."""
    text = data.decode("latin-1")
    try:
        assert str(CertificateId.parse(text)) == text
    except Problem as problem:
        assert problem.kind == "malformed"  # noqa: PT017
