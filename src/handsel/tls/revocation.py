"""Whether a peer's certificate was taken back: what lists (RFC 5280, section 5) and responders (RFC 6960) say."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from handsel.pki.certificate import UNREADABLE, Certificate

_SKEW = timedelta(minutes=5)


class Standing(StrEnum):
    """What is known of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """How a certificate stands and why; for how long that may be believed."""

    standing: Standing
    why: str
    until: datetime | None = None


def read_list(content: bytes) -> x509.CertificateRevocationList:
    """A revocation list, PEM or DER. Raises `ValueError`."""
    if b"-----BEGIN" in content:
        return x509.load_pem_x509_crl(content)
    return x509.load_der_x509_crl(content)


def by_lists(
    certificate: Certificate, issuer: Certificate, lists: Iterable[x509.CertificateRevocationList], now: datetime
) -> Verdict:
    """What the lists say. One that is over, or not signed by the issuer, says nothing."""
    said = "no list is of its issuer"
    for each in lists:
        if each.issuer != issuer.parsed.subject:
            continue
        if not _signed(each, issuer):
            said = "the list is not signed by its issuer"
        elif each.next_update_utc is not None and each.next_update_utc < now:
            said = f"the list was good until {each.next_update_utc:%Y-%m-%d %H:%M:%S}"
        elif each.get_revoked_certificate_by_serial_number(certificate.parsed.serial_number) is not None:
            return Verdict(Standing.REVOKED, "it is on its issuer's list", each.next_update_utc)
        else:
            return Verdict(Standing.GOOD, "it is not on its issuer's list", each.next_update_utc)
    return Verdict(Standing.UNKNOWN, said)


def responder_of(certificate: Certificate) -> str | None:
    """The responder that a certificate names (RFC 5280, section 4.2.2.1)."""
    try:
        access = certificate.parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    for each in access:
        location = each.access_location
        if each.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            return location.value
    return None


def request(certificate: Certificate, issuer: Certificate) -> bytes:
    """An OCSP request about one certificate, DER."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, hashes.SHA1())  # noqa: S303  # names the issuer only (RFC 6960, section 4.3); responders know no other
    return builder.build().public_bytes(Encoding.DER)


def by_responder(answer: bytes, certificate: Certificate, issuer: Certificate, now: datetime) -> Verdict:
    """What a responder's answer says: it counts if it is of now, about this certificate, and of whom may say so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            response = ocsp.load_der_ocsp_response(answer)
            if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
                return Verdict(Standing.UNKNOWN, f"the responder says {response.response_status.name.lower()}")
            return _judge(response, certificate, issuer, now)
    except (*UNREADABLE, InvalidSignature) as error:
        return Verdict(Standing.UNKNOWN, f"the responder's answer cannot be read: {str(error).splitlines()[:1]}")


def _judge(response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate, now: datetime) -> Verdict:
    if response.serial_number != certificate.parsed.serial_number:
        return Verdict(Standing.UNKNOWN, "the responder answers about another certificate")
    if not _may_answer(response, issuer, now):
        return Verdict(Standing.UNKNOWN, "the answer is not signed by the issuer or by whom it named")
    until = response.next_update_utc
    if response.this_update_utc > now + _SKEW or (until is not None and until < now - _SKEW):
        return Verdict(Standing.UNKNOWN, "the responder's answer is not of now")
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        return Verdict(Standing.REVOKED, "its issuer's responder says so", until)
    if response.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return Verdict(Standing.GOOD, "its issuer's responder says so", until)
    return Verdict(Standing.UNKNOWN, "the responder does not know it")


def _may_answer(response: ocsp.OCSPResponse, issuer: Certificate, now: datetime) -> bool:
    """The issuer itself, or a certificate of its for just this (RFC 6960, section 4.2.2.2)."""
    for each in [issuer.parsed, *response.certificates]:
        if each != issuer.parsed and not _is_delegate(each, issuer, now):
            continue
        if _verifies(each.public_key(), response.signature, response.tbs_response_bytes, response):
            return True
    return False


def _is_delegate(certificate: x509.Certificate, issuer: Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer.parsed)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    lives = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return lives and ExtendedKeyUsageOID.OCSP_SIGNING in usage


def _verifies(key: object, signature: bytes, signed: bytes, response: ocsp.OCSPResponse) -> bool:
    algorithm = response.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif algorithm is None and hasattr(key, "verify"):
            key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _signed(each: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    try:
        return each.is_signature_valid(issuer.parsed.public_key())  # type: ignore[arg-type]  # it refuses what it cannot take
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
