"""PKCS#10 certificate signing requests (RFC 2986)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from handsel.pki.certificate import UNREADABLE
from handsel.pki.keys import KeyType, PrivateKey, PublicKey, kind_of, public_der
from handsel.pki.names import Names, SpiffeId

MAXIMUM_BYTES = 16384
"""Enough for a hundred names and the largest key that is used here."""
MAXIMUM_NAMES = 100


@dataclass(frozen=True)
class CertificateRequest:
    """A request whose signature was verified: the sender holds the private key of `public_key_der`.

    `names` are the alternative names that it asks for, `common_name` what its subject says; neither is granted yet.
    """

    names: Names
    common_name: str | None
    public_key: PublicKey
    public_key_der: bytes
    kind: KeyType


def build(key: PrivateKey, identity: SpiffeId | None) -> bytes:
    """A request in DER, signed by `key`. Without `identity` it asks for whatever name the signer gives."""
    return build_for(key, Names(uri=(str(identity),)) if identity is not None else Names())


def build_for(key: PrivateKey, names: Names) -> bytes:
    """A request in DER for these names, signed by `key`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names.general()), critical=True)
    return builder.sign(key.handle, key.digest).public_bytes(serialization.Encoding.DER)


def parse(der: bytes) -> CertificateRequest:
    """Parse and verify a request.

    Raises `ValueError` when it is malformed, too large, badly signed, or has a key of a kind that is not used here.
    """
    if len(der) > MAXIMUM_BYTES:
        raise ValueError(f"a certificate request has at most {MAXIMUM_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        kind = kind_of(key)
        if not request.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        names = _names(request)
        common_name = _common_name(request)
    except (InvalidSignature, *UNREADABLE) as error:
        raise ValueError(f"the certificate request is malformed: {error}") from error
    return CertificateRequest(names, common_name, key, public_der(key), kind)  # type: ignore[arg-type]  # see kind_of


def _names(request: x509.CertificateSigningRequest) -> Names:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names()
    if len(names) > MAXIMUM_NAMES:
        raise ValueError(f"a request has at most {MAXIMUM_NAMES} names")
    return Names.of(names)


def _common_name(request: x509.CertificateSigningRequest) -> str | None:
    attributes = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(attributes) > 1:
        raise ValueError("a request has at most one common name")
    return str(attributes[0].value) if attributes else None
