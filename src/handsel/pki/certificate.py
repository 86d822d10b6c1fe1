"""Certificates as values that remember their bytes (RFC 5280, X.509-SVID)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from handsel.pki.keys import pin
from handsel.pki.names import SpiffeId

UNREADABLE = (
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    TypeError,  # a name with a bit string in a place where it has none
)
"""What `cryptography` raises for malformed bytes besides `ValueError`."""


@dataclass(frozen=True)
class Certificate:
    """One certificate, by its DER bytes. Raises `ValueError` when they are none."""

    der: bytes

    def __post_init__(self) -> None:
        # `cryptography` reads these late; here is the place to find out that they are malformed.
        try:
            _ = self.parsed.extensions, self.parsed.subject, self.parsed.issuer, self.public_key_der
        except UNREADABLE as error:
            raise ValueError(f"the certificate is malformed: {error}") from error

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The same as a value of `cryptography`."""
        return x509.load_der_x509_certificate(self.der)

    @classmethod
    def of(cls, parsed: x509.Certificate) -> Certificate:
        """The certificate behind a value of `cryptography`. Raises `ValueError` when that is malformed."""
        found = cls.just_made(parsed)
        found.__post_init__()
        return found

    @classmethod
    def just_made(cls, parsed: x509.Certificate) -> Certificate:
        """The same for one that was signed here a moment ago: whoever signs has looked before."""
        made = cls.__new__(cls)
        vars(made).update(der=parsed.public_bytes(serialization.Encoding.DER), parsed=parsed)
        return made

    @classmethod
    def of_peer(cls, der: bytes) -> Certificate:
        """The same as `Certificate(der)`, for what is shown again and again: the last few thousand are remembered."""
        return _remembered(der)

    @cached_property
    def pem(self) -> bytes:
        return self.parsed.public_bytes(serialization.Encoding.PEM)

    @property
    def serial(self) -> str:
        """The serial number in lower-case hex."""
        return f"{self.parsed.serial_number:x}"

    @property
    def not_before(self) -> datetime:
        return self.parsed.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        return self.parsed.not_valid_after_utc

    @cached_property
    def spiffe_id(self) -> SpiffeId | None:
        """The SPIFFE ID that is its one URI name (X.509-SVID, section 2), or None."""
        try:
            (identity,) = self.uri_names
            return SpiffeId.parse(identity)
        except ValueError:
            return None

    @property
    def uri_names(self) -> list[str]:
        names = self.alternative_names
        return names.get_values_for_type(x509.UniformResourceIdentifier) if names else []

    @property
    def dns_names(self) -> list[str]:
        names = self.alternative_names
        return names.get_values_for_type(x509.DNSName) if names else []

    @property
    def ip_names(self) -> list[str]:
        names = self.alternative_names
        return [str(address) for address in names.get_values_for_type(x509.IPAddress)] if names else []

    @cached_property
    def alternative_names(self) -> x509.SubjectAlternativeName | None:
        """The names in the certificate, or None when it has none (RFC 5280, section 4.2.1.6)."""
        try:
            return self.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return None

    @property
    def is_ca(self) -> bool:
        try:
            return self.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            return False

    @property
    def subject(self) -> str:
        """The common name, or the whole subject when it has none."""
        return _common_name(self.parsed.subject)

    @property
    def issuer(self) -> str:
        """The issuer's common name, or its whole name when it has none."""
        return _common_name(self.parsed.issuer)

    @cached_property
    def public_key_der(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        return self.parsed.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @cached_property
    def key_id(self) -> bytes | None:
        """The SubjectKeyIdentifier (RFC 5280, section 4.2.1.2)."""
        try:
            return self.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        except x509.ExtensionNotFound:
            return None

    @cached_property
    def authority_key_id(self) -> bytes | None:
        """The key identifier of the AuthorityKeyIdentifier (RFC 5280, section 4.2.1.1)."""
        try:
            return self.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        except x509.ExtensionNotFound:
            return None

    @property
    def pin(self) -> str:
        """The pin of its public key, see `handsel.pki.keys.pin`."""
        return pin(self.public_key_der)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the DER, hex."""
        return self.parsed.fingerprint(hashes.SHA256()).hex()


@lru_cache(maxsize=4096)
def _remembered(der: bytes) -> Certificate:
    return Certificate(der)


def parse_pem(pem: bytes) -> tuple[Certificate, ...]:
    """Every certificate in a PEM file, in order. Raises `ValueError` when there is none or one is broken."""
    try:
        return tuple(Certificate.of(parsed) for parsed in x509.load_pem_x509_certificates(pem))
    except x509.InvalidVersion as error:
        raise ValueError(f"a certificate is malformed: {error}") from error


def to_pem(certificates: tuple[Certificate, ...]) -> bytes:
    """One PEM of all, in order."""
    return b"".join(certificate.pem for certificate in certificates)


def _common_name(name: x509.Name) -> str:
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else name.rfc4514_string()
