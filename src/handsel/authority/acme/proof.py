"""What proves control of a name, and where the authority may look for it (RFC 8555, sections 8 and 10)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ObjectIdentifier

from handsel.acme.jws import encode
from handsel.acme.problems import Identifier, Problem
from handsel.pki.certificate import UNREADABLE
from handsel.pki.names import Names

ALPN = "acme-tls/1"
_ACME_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING_OF_32 = b"\x04\x20"
_WHITESPACE = b" \t\r\n"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def forbidden(address: Address, *, allow_private: bool) -> str | None:
    """Why an address is never asked (section 10.4), or None.

    Loopback and private addresses are a matter of the settings. Link-local ones, where clouds keep the secrets of a
    machine, multicast and the unspecified address are not.
    """
    inner = _embedded(address)
    if inner is not None:
        return forbidden(inner, allow_private=allow_private)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return f"{address} is link-local, multicast or no address at all"
    if not allow_private and not address.is_global:
        return f"{address} is private"
    return None


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def check_body(body: bytes, expected: str, where: str) -> None:
    """What http-01 shows must be the key authorization; white space after it does not count (section 8.3)."""
    if body.rstrip(_WHITESPACE) != expected.encode():
        seen = body[:80].decode("ascii", errors="replace")
        raise Problem("incorrectResponse", f"{where} shows {seen!r}, not the key authorization")


def check_txt(values: Iterable[bytes], expected: str, where: str) -> None:
    """One of the TXT records must be the digest of the key authorization (section 8.4)."""
    digest = encode(hashlib.sha256(expected.encode()).digest()).encode()
    found = list(values)
    if digest not in found:
        seen = ", ".join(each[:60].decode("ascii", errors="replace") for each in found[:3])
        raise Problem("incorrectResponse", f"{where} has {len(found)} TXT records ({seen}), none is the digest")


def server_name(identifier: Identifier) -> str:
    """What tls-alpn-01 sends as SNI: the name, or the reverse name of an address (RFC 8738, section 6)."""
    if identifier.type == "ip":
        return ipaddress.ip_address(identifier.value).reverse_pointer
    return identifier.value


def check_alpn_certificate(der: bytes, identifier: Identifier, expected: str) -> None:
    """The certificate that tls-alpn-01 shows (RFC 8737, section 3)."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(certificate)
        names = Names.of(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        proof = certificate.extensions.get_extension_for_oid(_ACME_IDENTIFIER)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound, *UNREADABLE) as error:
        raise _not_proven(identifier, f"it is not self-signed, or lacks a name or acmeIdentifier: {error}") from error
    if list(names) != [(identifier.type, identifier.value)] or names.other:
        raise _not_proven(identifier, "its one name is not the one that is asked for")
    digest = _OCTET_STRING_OF_32 + hashlib.sha256(expected.encode()).digest()
    if not proof.critical or proof.value.public_bytes() != digest:
        raise _not_proven(identifier, "acmeIdentifier is not critical, or not the digest of the key authorization")


def _not_proven(identifier: Identifier, why: str) -> Problem:
    return Problem("incorrectResponse", f"the certificate for {identifier}: {why}")


@dataclass(frozen=True)
class CaaRecord:
    """One CAA record (RFC 8659, section 4.1)."""

    critical: bool
    tag: str
    value: str


def caa_forbids(
    records: Iterable[CaaRecord], issuers: Iterable[str], *, wildcard: bool, account: str, kind: str
) -> str | None:
    """Why the records of a name forbid a certificate (RFC 8659, section 4; RFC 8657), or None.

    `records` are those of the closest name up the tree that has any; `issuers` the names that stand for us; `account`
    the id at the end of an account's address, random and ours, so the rest of an `accounturi` need not be known.
    """
    found = list(records)
    for record in found:
        if record.critical and record.tag not in ("issue", "issuewild", "iodef"):
            return f"the critical property {record.tag[:32]!r} is not understood here"
    wild = [record for record in found if record.tag == "issuewild"] if wildcard else []
    asked = wild or [record for record in found if record.tag == "issue"]
    known = {name.lower() for name in issuers}
    if not asked or any(_permits(record.value, known, account, kind) for record in asked):
        return None
    return f"CAA names others: {', '.join(record.value[:60] or ';' for record in asked[:3])}"


def _permits(value: str, issuers: set[str], account: str, kind: str) -> bool:
    name, *rest = (part.strip() for part in value.split(";"))
    if name.lower() not in issuers:
        return False
    parameters: dict[str, str] = {}
    for part in filter(None, rest):
        key, separator, content = part.partition("=")
        if not separator or key.strip() in parameters:
            return False  # what cannot be read permits nothing
        parameters[key.strip()] = content.strip()
    methods = parameters.get("validationmethods")
    return _names(parameters.get("accounturi"), account) and (
        methods is None or kind in (each.strip() for each in methods.split(","))
    )


def _names(uri: str | None, account: str) -> bool:
    return uri is None or (uri.startswith("https://") and uri.endswith(f"/acme/account/{account}"))
