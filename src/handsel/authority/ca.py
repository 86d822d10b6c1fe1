"""The certificate authority: drafts from approvals, certificates from checked drafts, and the CAs themselves."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handsel.authority.model import Approval, CheckedDraft, Draft, Issuer
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain

ROOT_LIFETIME = timedelta(days=3650)
ISSUING_LIFETIME = timedelta(days=365)


def prepare(approval: Approval, issuer: Issuer, *, serial: int, now: datetime, backdate: timedelta) -> Draft:
    """A draft of a leaf. It never outlives its issuer.

    `serial` must be random, positive and at most 159 bits (RFC 5280, 4.1.2.2).
    """
    # Never more than a tenth of life: else half of it, from where it is renewed, would be over at once.
    not_before = max(now - min(backdate, approval.lifetime / 10), issuer.certificate.not_before)
    not_after = min(now + approval.lifetime, issuer.certificate.not_after)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(approval.identity))]
    names += [x509.DNSName(name) for name in approval.dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(name)) for name in approval.ip_names]
    builder = (
        x509.CertificateBuilder()
        # An empty subject makes the SAN critical (RFC 5280, 4.2.1.6): the SPIFFE ID is the only name.
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.parsed.subject)
        .public_key(approval.public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        # Every workload is client and server at once.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(approval.public_key), critical=False)
        .add_extension(_authority_key_identifier(issuer.certificate), critical=False)
    )
    return Draft(builder, approval.identity, f"{serial:x}", now, not_before, not_after, approval.requested_by)


def sign(checked: CheckedDraft, issuer: Issuer) -> Certificate:
    """Sign a checked draft with the issuer's key."""
    return Certificate.of(checked.draft.builder.sign(issuer.key.handle, hashes.SHA256()))


def make_root(trust_domain: TrustDomain, key: PrivateKey, *, serial: int, now: datetime) -> Certificate:
    """A self-signed root for a trust domain."""
    name = _ca_name(f"{trust_domain} root")
    builder = _ca_builder(trust_domain, name, name, key, serial, now, now + ROOT_LIFETIME, path_length=1)
    return Certificate.of(builder.sign(key.handle, hashes.SHA256()))


def make_issuing(
    trust_domain: TrustDomain, key: PrivateKey, root: Certificate, root_key: PrivateKey, *, serial: int, now: datetime
) -> Certificate:
    """An issuing CA under `root`, which signs leaves only."""
    not_after = min(now + ISSUING_LIFETIME, root.not_after)
    name = _ca_name(f"{trust_domain} issuing CA")
    builder = _ca_builder(trust_domain, name, root.parsed.subject, key, serial, now, not_after, path_length=0)
    return Certificate.of(
        builder.add_extension(_authority_key_identifier(root), critical=False).sign(root_key.handle, hashes.SHA256())
    )


def _ca_builder(
    trust_domain: TrustDomain,
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    serial: int,
    now: datetime,
    not_after: datetime,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.handle.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(not_after)
        # X.509-SVID, section 3.1: a signing certificate's SPIFFE ID is its trust domain.
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.handle.public_key()), critical=False)
    )


def _ca_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "handsel"),
            # RFC 5280, upper bound of a common name: 64 characters.
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
