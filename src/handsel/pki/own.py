"""Certificates that somebody makes with a key of their own: self-signed, or signed by a CA in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey, PublicKey
from handsel.pki.names import Names

_LONGEST_COMMON_NAME = 64
_BACKDATE = timedelta(minutes=1)


@dataclass(frozen=True)
class Signer:
    """A CA: its key, and its chain with itself first, the root left out unless it is one."""

    key: PrivateKey = field(repr=False)
    chain: tuple[Certificate, ...]


@dataclass(frozen=True)
class Wish:
    """What a certificate should say. `ca`: it may sign others. `common_name`: of its subject; empty for none."""

    names: Names
    lifetime: timedelta
    ca: bool = False
    common_name: str = ""


def make(wish: Wish, key: PrivateKey, signer: Signer | None, *, serial: int, now: datetime) -> tuple[Certificate, ...]:
    """A certificate with its chain. Without `signer` it is signed by its own key. Raises `ValueError`.

    RFC 5280: a critical BasicConstraints and KeyUsage, identifiers of both keys, names critical without a subject.
    """
    subject = _subject(wish.common_name)
    if wish.ca and not subject.rdns:
        raise ValueError("a CA needs a name of its own")
    issuer = signer.chain[0] if signer else None
    if issuer is not None and not issuer.is_ca:
        raise ValueError("the certificate that should sign is no CA's")
    not_after = now + wish.lifetime if issuer is None else min(now + wish.lifetime, issuer.not_after)
    public_key = key.handle.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.parsed.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=wish.ca, path_length=None), critical=True)
        .add_extension(_usage(ca=wish.ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority(issuer, public_key), critical=False)
    )
    if wish.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(wish.names.general()), critical=not subject.rdns)
    if not wish.ca:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    by = signer.key if signer else key
    made = Certificate.of(builder.sign(by.handle, by.digest))
    above = tuple(each for each in signer.chain if each.parsed.issuer != each.parsed.subject) if signer else ()
    return (made, *above)


def _subject(common_name: str) -> x509.Name:
    if len(common_name) > _LONGEST_COMMON_NAME:
        raise ValueError(f"a common name has at most {_LONGEST_COMMON_NAME} characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _authority(issuer: Certificate | None, own: PublicKey) -> x509.AuthorityKeyIdentifier:
    if issuer is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(own)
    identifier = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
