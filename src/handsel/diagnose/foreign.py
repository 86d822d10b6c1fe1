"""A certificate that looks right and is of another CA: what an impostor would bring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey


@dataclass(frozen=True)
class ForeignPair:
    """A key and its chain, leaf first."""

    key: PrivateKey
    chain: tuple[Certificate, ...]


def impostor(identity: str, now: datetime) -> ForeignPair:
    """A certificate with this SPIFFE ID, valid for an hour, by a CA made just now."""
    ca_key, key = PrivateKey.generate(), PrivateKey.generate()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA that nobody trusts")])
    ca = _builder(issuer, issuer, ca_key, now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    leaf = _builder(x509.Name([]), issuer, key, now).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=True
    )
    signed = [Certificate.of(each.sign(ca_key.handle, hashes.SHA256())) for each in (leaf, ca)]
    return ForeignPair(key, tuple(signed))


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.handle.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
    )
