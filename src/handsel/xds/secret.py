"""Secrets of SDS: a certificate with its key, and whom to trust. Checked before they are handed to any Envoy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_spiffe_validator_config_pb2

from handsel.pki.secret import Secret
from handsel.xds.resources import SECRET, Resource, resource

IDENTITY = "default"
TRUST = "ROOTCA"
"""The names under which a workload's socket serves its own certificate and the roots (as Istio's agent has them)."""


def tls_certificate(name: str, chain_pem: bytes, key_pem: Secret, *, now: datetime, staple: bytes = b"") -> Resource:
    """A certificate with its key, and an OCSP answer for it, DER.

    Raises `ValueError` when they do not belong together or it is not valid now.
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
    if staple:
        message.tls_certificate.ocsp_staple.inline_bytes = staple
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def validation_context(
    name: str, roots_pem: bytes, *, crls: Sequence[bytes] = (), of_system: bool = False, whole_chain: bool = False
) -> Resource:
    """The roots to trust, PEM, and the revoked certificates, DER. Raises `ValueError` for no root or a broken list.

    With `crls`, a certificate whose issuer has no list among them is refused: without a list of its own each CA of a
    chain would have to bring one, so that only the leaf is looked at. With `whole_chain` revoked CAs are refused too,
    where each CA of `roots_pem` has a list. The operating system's bundle is taken as it is: it may hold old roots that
    a strict parser refuses.
    """
    roots = [] if of_system else x509.load_pem_x509_certificates(roots_pem)
    message = secret_pb2.Secret(name=name)
    message.validation_context.trusted_ca.inline_bytes = roots_pem
    if crls:
        lists = [x509.load_der_x509_crl(each) for each in crls]
        pem = (each.public_bytes(serialization.Encoding.PEM) for each in lists)
        message.validation_context.crl.inline_bytes = b"".join(pem)
        all_have_one = bool(roots) and {each.subject for each in roots} <= {each.issuer for each in lists}
        message.validation_context.only_verify_leaf_cert_crl = not (whole_chain and all_have_one)
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def renamed(original: Resource, name: str) -> Resource:
    """The same secret under another name, which the message has in itself."""
    message = secret_pb2.Secret.FromString(original.body)
    message.name = name
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def spiffe_validator(name: str, bundles: Mapping[str, Resource]) -> Resource:
    """Roots by trust domain, for Envoy's SPIFFE validator: each domain's identities are checked by its own roots only.

    `bundles` are validation contexts by the domain's name. The validator knows no CRLs (Envoy 1.40), so none are taken.
    """
    config = tls_spiffe_validator_config_pb2.SPIFFECertValidatorConfig()
    for domain in sorted(bundles):
        roots = secret_pb2.Secret.FromString(bundles[domain].body).validation_context.trusted_ca
        config.trust_domains.add(name=domain).trust_bundle.CopyFrom(roots)
    message = secret_pb2.Secret(name=name)
    validator = message.validation_context.custom_validator_config
    validator.name = "envoy.tls.cert_validator.spiffe"
    validator.typed_config.Pack(config)
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def generic(name: str, value: Secret) -> Resource:
    """A secret of any other kind, such as a password, for a filter that asks for it by this name."""
    message = secret_pb2.Secret(name=name)
    message.generic_secret.secret.inline_bytes = value.reveal()
    return resource(SECRET, name, message.SerializeToString(deterministic=True))


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every public key of cryptography has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
