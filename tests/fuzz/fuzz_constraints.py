"""Name constraints as somebody's CA certificate carries them: any bytes are read, or the certificate is refused."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtensionOID, NameOID

from handsel.pki.certificate import Certificate
from handsel.pki.constraints import forbidden
from handsel.pki.names import Names

_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.internal")])
_NAMES = Names(
    dns=("a.internal", "*.b.internal"), ip=("10.0.0.1", "::1"), uri=("https://a.internal/", "urn:a:b"),
    mail=("a@b.internal",),
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """The bytes are the extension's value, in a certificate that is otherwise right."""
    try:
        chain = (_certificate(data),)
    except ValueError:
        return  # refused where CA certificates are read
    reason = forbidden(_NAMES, _SUBJECT, chain)
    if reason is not None and not reason.isprintable():
        raise AssertionError(f"a reason that cannot be shown: {reason!r}")


def _certificate(value: bytes) -> Certificate:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(_SUBJECT, _SUBJECT, _KEY.public_key(), 1, moment, moment)
    builder = builder.add_extension(x509.UnrecognizedExtension(ExtensionOID.NAME_CONSTRAINTS, value), critical=True)
    return Certificate.of(builder.sign(_KEY, None))
