"""Who signs OCSP answers: a key for each CA, with a short-lived certificate of that CA (RFC 6960, 4.2.2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handsel.authority import directory
from handsel.authority.directory import Intended
from handsel.authority.model import Issuer
from handsel.errors import Refused
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.ocsp import Responder
from handsel.store.journal import entry
from handsel.store.outcome import Outcome, Writes

LIFETIME = timedelta(days=7)
PROFILE = "ocsp"
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class ResponderIntent:
    """A responder that will be certified once `writes` are durable."""

    writes: Writes
    builder: x509.CertificateBuilder = field(repr=False)
    issuer: Issuer
    key: PrivateKey
    name: str


def is_due(responder: Responder | None, issuer: Issuer, now: datetime) -> bool:
    """Whether a new one is needed: there is none, it is of another CA, or half of its life is over."""
    if responder is None or responder.certificate.authority_key_id != issuer.certificate.key_id:
        return True
    leaf = responder.certificate
    return now >= leaf.not_before + (leaf.not_after - leaf.not_before) / 2


def may_sign(responder: Responder, issuer: Issuer, now: datetime) -> bool:
    """Whether answers may be signed: neither the responder nor a CA above it has ended, or has not begun."""
    leaf = responder.certificate
    return leaf.not_before <= now < min(leaf.not_after, issuer.not_after)


def intend(issuer: Issuer, key: PrivateKey, *, serial: int, now: datetime) -> ResponderIntent:
    """What leads to a responder of this CA. Raises `Refused` when the CA has ended."""
    not_before, not_after = max(now - _BACKDATE, issuer.certificate.not_before), min(now + LIFETIME, issuer.not_after)
    if not_after <= now:
        raise Refused(f"the CA {issuer.name!r} has ended: nothing is signed for it any more")
    name = f"OCSP responder of {issuer.name}"
    usages = dict.fromkeys(_OTHER_USAGES, False) | {"digital_signature": True}
    public_key = key.handle.public_key()
    key_id = issuer.certificate.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(issuer.certificate.parsed.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usages), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        # Nobody asks about it: it lives so short (RFC 6960, 4.2.2.2.1).
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
    )
    number = f"{serial:x}"
    intended = Intended(number, name, (name,), issuer.name, PROFILE, key.pin(), not_before, not_after, "server")
    line = entry("intended", now, serial=number, identity=name, by="server")
    return ResponderIntent((intended, line), builder, issuer, key, name)


_OTHER_USAGES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
    "encipher_only", "decipher_only",
)  # fmt: skip


def issue(intent: ResponderIntent, *, now: datetime) -> Outcome[Responder]:
    """Use the CA's key. Call it only once the intent's writes are durable."""
    signer = intent.issuer.key
    made = Certificate.of(intent.builder.sign(signer.handle, signer.digest))
    line = entry("issued", now, serial=made.serial, identity=intent.name, sha256=made.fingerprint)
    return Outcome((directory.issued(made), line), Responder(intent.key, made))
