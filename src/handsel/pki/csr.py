"""PKCS#10 certificate signing requests (RFC 2986)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.pki.certificate import UNREADABLE
from handsel.pki.keys import PrivateKey, public_der
from handsel.pki.names import SpiffeId

MAXIMUM_BYTES = 8192


@dataclass(frozen=True)
class CertificateRequest:
    """A request whose signature was verified: the sender holds the private key of `public_key_der`."""

    identity: SpiffeId | None
    public_key: ec.EllipticCurvePublicKey
    public_key_der: bytes


def build(key: PrivateKey, identity: SpiffeId | None) -> bytes:
    """A request in DER, signed by `key`. Without `identity` it asks for whatever name the signer gives."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if identity is not None:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=True
        )
    return builder.sign(key.handle, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def parse(der: bytes) -> CertificateRequest:
    """Parse and verify a request.

    Raises `ValueError` when it is malformed, too large, badly signed, asks for more than one URI name, or has a key
    that is not ECDSA P-256.
    """
    if len(der) > MAXIMUM_BYTES:
        raise ValueError(f"a certificate request has at most {MAXIMUM_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the key of the request is not ECDSA P-256")
        if not request.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        identity = _identity(request)
    except (InvalidSignature, *UNREADABLE) as error:
        raise ValueError(f"the certificate request is malformed: {error}") from error
    return CertificateRequest(identity=identity, public_key=key, public_key_der=public_der(key))


def _identity(request: x509.CertificateSigningRequest) -> SpiffeId | None:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    if len(names) != 1 or not isinstance(next(iter(names)), x509.UniformResourceIdentifier):
        raise ValueError("a request for a workload has exactly one name, a SPIFFE ID")
    return SpiffeId.parse(next(iter(names)).value)
