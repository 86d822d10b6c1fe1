"""The certificate authority: drafts from approvals, certificates from checked drafts, and the CAs themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from handsel.authority.hierarchy import CaPlan
from handsel.authority.model import Approval, CheckedDraft, Draft, Issuer, Leaf
from handsel.authority.status_places import StatusPlaces
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey, PublicKey
from handsel.pki.names import TrustDomain

ROOT_LIFETIME = timedelta(days=3650)
ISSUING_LIFETIME = timedelta(days=365)


def prepare(
    approval: Approval, issuer: Issuer, *, serial: int, now: datetime, status: StatusPlaces | None = None
) -> Draft:
    """A draft of a leaf. It never outlives its chain. It says where its `status` is if its profile wants that.

    `serial` must be random, positive and at most 159 bits (RFC 5280, 4.1.2.2).
    """
    profile = approval.profile
    # Never more than a tenth of life: else half of it, from where it is renewed, would be over at once.
    not_before = max(now - min(profile.backdate, approval.lifetime / 10), issuer.certificate.not_before)
    lifetime = min(approval.lifetime, profile.longest(now)) if profile.as_public_web else approval.lifetime
    not_after = min(now + lifetime, issuer.not_after)
    common_name = approval.names.dns[0] if profile.common_name and approval.names.dns else None
    subject = _subject(common_name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.parsed.subject)
        .public_key(approval.public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        # Critical when the subject is empty (RFC 5280, 4.2.1.6): then these are the only names.
        .add_extension(x509.SubjectAlternativeName(approval.names.general()), critical=not subject.rdns)
        .add_extension(_NO_CA, critical=True)
        .add_extension(_KEY_USAGE_OF_LEAVES, critical=True)
        .add_extension(_extended_usage(profile.extended_usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(approval.public_key), critical=False)
        .add_extension(_authority_key_identifier(issuer.certificate), critical=False)
    )
    if status is not None and profile.says_where_status_is:
        for pointer in status.pointers(issuer.place, serial):
            builder = builder.add_extension(pointer, critical=False)
    return Draft(
        builder, issuer, approval.names, approval.identity, profile, approval.public_key, f"{serial:x}", now,
        not_before, not_after, approval.requested_by, approval.requester,
    )  # fmt: skip


def sign(checked: CheckedDraft) -> Leaf:
    """Sign a checked draft with its issuer's key."""
    issuer = checked.draft.issuer
    return Leaf(Certificate.just_made(checked.draft.builder.sign(issuer.key.handle, issuer.key.digest)), issuer)


def make_root(trust_domain: TrustDomain, key: PrivateKey, *, serial: int, now: datetime) -> Certificate:
    """A self-signed root for a trust domain."""
    name = _ca_name(f"{trust_domain} root")
    public_key = key.handle.public_key()
    # Below it an issuing CA, and one more: a link to its successor, which Go counts though RFC 5280 does not.
    builder = _ca_builder(trust_domain, name, name, public_key, serial, now, now + ROOT_LIFETIME, path_length=2)
    return Certificate.of(builder.sign(key.handle, key.digest))


def make_issuing(
    trust_domain: TrustDomain,
    key: PrivateKey,
    root: Certificate,
    root_key: PrivateKey,
    *,
    serial: int,
    now: datetime,
    plan: CaPlan | None = None,
) -> Certificate:
    """An issuing CA under `root`, which signs leaves only. `plan` says what it is; the mesh's own when left out."""
    return sign_issuing(
        trust_domain, key.handle.public_key(), root, root_key, serial=serial, now=now, plan=plan or CaPlan()
    )


def sign_issuing(
    trust_domain: TrustDomain,
    public_key: PublicKey,
    root: Certificate,
    root_key: PrivateKey,
    *,
    serial: int,
    now: datetime,
    plan: CaPlan,
) -> Certificate:
    """The same, when only the public half of its key is at hand."""
    not_after = min(now + (ISSUING_LIFETIME if plan.lifetime is None else plan.lifetime), root.not_after)
    name = _ca_name(plan.title(trust_domain))
    builder = _ca_builder(trust_domain, name, root.parsed.subject, public_key, serial, now, not_after, path_length=0)
    constraints = plan.constraints()
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Certificate.of(
        builder.add_extension(_authority_key_identifier(root), critical=False).sign(root_key.handle, root_key.digest)
    )


def link(certificate: Certificate, signer: Certificate, signer_key: PrivateKey, *, serial: int) -> Certificate:
    """The same root, signed by another one: who trusts only the other one believes it too (RFC 4210, section 4.4).

    It lives as long as both do.
    """
    parsed = certificate.parsed
    builder = (
        x509.CertificateBuilder()
        .subject_name(parsed.subject)
        .issuer_name(signer.parsed.subject)
        .public_key(parsed.public_key())
        .serial_number(serial)
        .not_valid_before(max(certificate.not_before, signer.not_before))
        .not_valid_after(min(certificate.not_after, signer.not_after))
    )
    for extension in parsed.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(_authority_key_identifier(signer), critical=False)
    return Certificate.of(builder.sign(signer_key.handle, signer_key.digest))


def _ca_builder(
    trust_domain: TrustDomain,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
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
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(not_after)
        # X.509-SVID, section 3.1: a signing certificate's SPIFFE ID is its trust domain.
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


_EXTENDED_USAGES = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
}


@lru_cache(maxsize=64)
def _extended_usage(names: tuple[str, ...]) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([_EXTENDED_USAGES.get(name) or ObjectIdentifier(name) for name in names])


def _subject(common_name: str | None) -> x509.Name:
    # RFC 5280, upper bound of a common name: 64 characters. A longer name stands among the alternative names only.
    if common_name is None or len(common_name) > 64:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


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


_NO_CA, _KEY_USAGE_OF_LEAVES = x509.BasicConstraints(ca=False, path_length=None), _key_usage(signs_certificates=False)


@lru_cache(maxsize=64)
def _authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
