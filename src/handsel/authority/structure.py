"""What every leaf looks like, whatever its profile (RFC 5280, section 4; X.509-SVID, sections 2 to 5).

Looked at before signing, so that the key is never used for a certificate that no reader should take. The whole takes
some 15 µs; what needs a parser of its own is pkilint's, see `adapters/lint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier

from handsel.authority.model import Draft
from handsel.pki.names import Names

_KNOWN_EXTENSIONS = frozenset({
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.FRESHEST_CRL,
})  # fmt: skip
"""Every extension that a leaf of ours may have. A request's own are never copied (section 4.2)."""

_SVID_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_FIRST, _LAST = datetime(1950, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""What UTCTime and GeneralizedTime can say (section 4.1.2.5)."""


@dataclass(frozen=True)
class Parts:
    """The parts of a leaf that are looked at."""

    serial: int
    subject: x509.Name
    not_before: datetime
    not_after: datetime
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]

    @classmethod
    def of_draft(cls, draft: Draft) -> Parts:
        """What will be signed. The builder has no readers, and a copy beside it would prove nothing about it."""
        builder = draft.builder
        return cls(
            builder._serial_number or 0,  # noqa: SLF001
            builder._subject_name or x509.Name([]),  # noqa: SLF001
            draft.not_before,
            draft.not_after,
            tuple(builder._extensions),  # noqa: SLF001
        )

    @classmethod
    def of_certificate(cls, certificate: x509.Certificate) -> Parts:
        """What was signed."""
        return cls(
            certificate.serial_number, certificate.subject, certificate.not_valid_before_utc,
            certificate.not_valid_after_utc, tuple(certificate.extensions),
        )  # fmt: skip

    def find(self, oid: ObjectIdentifier) -> x509.Extension[x509.ExtensionType] | None:
        return next((each for each in self.extensions if each.oid == oid), None)


def fault(leaf: Parts, names: Names, issuer_key_id: bytes | None, *, is_svid: bool) -> str | None:
    """The first rule that a leaf breaks, with its section, or None."""
    looks: tuple[Callable[[], str | None], ...] = (
        lambda: _serial(leaf),
        lambda: _validity(leaf),
        lambda: _extension_list(leaf),
        lambda: _alternative_names(leaf, names),
        lambda: _usages(leaf, is_svid=is_svid),
        lambda: _key_identifiers(leaf, issuer_key_id),
        lambda: _labels(names),
    )
    return next((found for look in looks if (found := look()) is not None), None)


def _serial(leaf: Parts) -> str | None:
    if not 0 < leaf.serial < 1 << 159:  # the sign bit of the 20th octet stays free
        return "a serial number is positive and has at most 20 octets (RFC 5280, 4.1.2.2)"
    return None


def _validity(leaf: Parts) -> str | None:
    if not _FIRST <= leaf.not_before <= leaf.not_after <= _LAST:
        return "a certificate's life begins before it ends, and in a year that can be written (RFC 5280, 4.1.2.5)"
    return None


def _extension_list(leaf: Parts) -> str | None:
    oids = [each.oid for each in leaf.extensions]
    if len(set(oids)) != len(oids):
        return "an extension stands once in a certificate (RFC 5280, 4.2)"
    strange = next((oid for oid in oids if oid not in _KNOWN_EXTENSIONS), None)
    return f"the extension {strange.dotted_string} is put into no leaf (RFC 5280, 4.2)" if strange else None


def _alternative_names(leaf: Parts, names: Names) -> str | None:
    found = leaf.find(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if found is None or not isinstance(found.value, x509.SubjectAlternativeName):
        return "a leaf has alternative names (RFC 5280, 4.2.1.6)"
    if found.critical != (not leaf.subject.rdns):
        return "the alternative names are critical when the subject is empty, and only then (RFC 5280, 4.2.1.6)"
    if list(found.value) != names.general():
        return "the alternative names are the approved ones, all of them and no other"
    common_names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(common_names) != len(leaf.subject) or any(each.value not in names.dns for each in common_names):
        return "a subject has nothing but a common name, which is one of the DNS names"
    return None


def _usages(leaf: Parts, *, is_svid: bool) -> str | None:  # noqa: PLR0911  # one line a rule
    basic, usage, extended = (
        leaf.find(oid)
        for oid in (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE)
    )
    if basic is None or not isinstance(basic.value, x509.BasicConstraints) or basic.value.ca:
        return "a leaf is no CA (RFC 5280, 4.2.1.9; X.509-SVID, 4.1)"
    if usage is None or not usage.critical or not isinstance(usage.value, x509.KeyUsage):
        return "the key usage is there, and critical (RFC 5280, 4.2.1.3)"
    if not usage.value.digital_signature or usage.value.key_cert_sign or usage.value.crl_sign:
        return "a leaf's key signs data, and neither certificates nor CRLs (X.509-SVID, 4.3)"
    if extended is None or not isinstance(extended.value, x509.ExtendedKeyUsage) or not list(extended.value):
        return "the extended key usage says what the key is for (RFC 5280, 4.2.1.12)"
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in extended.value:
        return "no leaf is for any usage (RFC 5280, 4.2.1.12)"
    if is_svid and not all(each in extended.value for each in _SVID_USAGES):
        return "an identity is for both ends of a connection (X.509-SVID, 4.4)"
    return None


def _key_identifiers(leaf: Parts, issuer_key_id: bytes | None) -> str | None:
    subject, authority = (
        leaf.find(oid) for oid in (ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    )
    if subject is None or subject.critical:
        return "the subject key identifier is there, and not critical (RFC 5280, 4.2.1.2)"
    if authority is None or authority.critical or not isinstance(authority.value, x509.AuthorityKeyIdentifier):
        return "the authority key identifier is there, and not critical (RFC 5280, 4.2.1.1)"
    if authority.value.key_identifier != issuer_key_id:
        return "the authority key identifier is the issuer's key identifier (RFC 5280, 4.2.1.1)"
    return None


def _labels(names: Names) -> str | None:
    strange = next((label for label in _all_labels(names.dns) if label[2:4] == "--" and not _is_a_label(label)), None)
    return f"the label {strange!r} is no A-label (RFC 5280, 7.2; RFC 5890, 2.3.2.1)" if strange else None


def _all_labels(names: Iterable[str]) -> Iterable[str]:
    return (label for name in names if "--" in name for label in name.split("."))


def _is_a_label(label: str) -> bool:
    """Whether this is `xn--` with the only way to write a label that has letters outside ASCII."""
    if not label.startswith("xn--"):
        return False
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        return not decoded.isascii() and decoded.encode("punycode").decode("ascii") == label[4:]
    except (UnicodeError, OverflowError):
        return False
