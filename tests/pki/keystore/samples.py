"""Entries of key stores that tests make: certificates of every fault, keys that belong to them or do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from handsel.pki.keystore import KeyEntry, SecretEntry, StoredCertificate, StoredKey, TrustedEntry
from handsel.pki.secret import Secret

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """A key; another one for each name."""
    return ec.generate_private_key(ec.SECP256R1())


def stored_key(key: Key) -> StoredKey:
    return StoredKey(Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())))


def certificate(
    subject: str, issuer: str = "", *, ca: bool = False, start: timedelta = -_DAY, end: timedelta = 90 * _DAY,
    key: Key | None = None,
) -> StoredCertificate:  # fmt: skip
    """A certificate; without an issuer it signs itself. Keys go by the names of their owners."""
    own = key or key_of(subject)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (subject, issuer or subject)]
    builder = x509.CertificateBuilder(names[1], names[0], own.public_key(), 7, NOW + start, NOW + end)
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    signed = builder.sign(key_of(issuer) if issuer else own, hashes.SHA256())
    return StoredCertificate(signed.public_bytes(Encoding.DER))


@cache
def _ca(subject: str, issuer: str = "") -> StoredCertificate:
    return certificate(subject, issuer, ca=True)


def chain_of(leaf: str) -> tuple[StoredCertificate, ...]:
    """A leaf, the CA above it, and the root."""
    return certificate(leaf, "middle"), _ca("middle", "root"), _ca("root")


def key_entry(alias: str, chain: Sequence[StoredCertificate] | None = None, *, key: Key | None = None) -> KeyEntry:
    """A key and its chain, whose leaf is called as the alias."""
    return KeyEntry(alias, stored_key(key or key_of(alias)), tuple(chain_of(alias) if chain is None else chain), NOW)


def locked_entry(alias: str) -> KeyEntry:
    return KeyEntry(alias, None, chain_of(alias), NOW, "its password is another one")


def trusted_entry(alias: str) -> TrustedEntry:
    return TrustedEntry(alias, _ca(alias), NOW)


def secret_entry(alias: str) -> SecretEntry:
    return SecretEntry(alias, "AES", Secret(b"k" * 32), NOW)
