"""Secrets of SDS: a certificate with its key, and whom to trust. Checked before they are handed to any Envoy."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from handsel.pki.secret import Secret
from handsel.xds.resources import SECRET, Resource, resource

IDENTITY = "default"
TRUST = "ROOTCA"
"""The names under which a workload's socket serves its own certificate and the roots (as Istio's agent has them)."""


def tls_certificate(name: str, chain_pem: bytes, key_pem: Secret, *, now: datetime) -> Resource:
    """A certificate with its key. Raises `ValueError` when they do not belong together or it is not valid now.

    Envoy would refuse such a pair, and then also later, valid secrets of the same TLS context.
    """
    leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    key = serialization.load_pem_private_key(key_pem.reveal(), password=None)
    if _public(key.public_key()) != _public(leaf.public_key()):
        raise ValueError("the private key does not belong to the certificate")
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise ValueError(
            f"the certificate is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}, not now"
        )
    message = secret_pb2.Secret(name=name)
    message.tls_certificate.certificate_chain.inline_bytes = chain_pem
    message.tls_certificate.private_key.inline_bytes = key_pem.reveal()
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def validation_context(name: str, roots_pem: bytes, *, of_system: bool = False) -> Resource:
    """The roots to trust, PEM. Raises `ValueError` when there is none.

    The operating system's bundle is taken as it is: it may hold old roots that a strict parser refuses.
    """
    if not of_system:
        x509.load_pem_x509_certificates(roots_pem)
    message = secret_pb2.Secret(name=name)
    message.validation_context.trusted_ca.inline_bytes = roots_pem
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every public key of cryptography has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
