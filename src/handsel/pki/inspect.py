"""What is in a certificate file, and what is wrong with it, in words. Never the bytes of a key."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.utils import CryptographyDeprecationWarning

from handsel.pki import pem_blocks
from handsel.pki.certificate import UNREADABLE, Certificate

MAXIMUM_BYTES = 1 << 20
"""Bytes of a file: a bundle of all public roots has a quarter of it."""

_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")
# Several certificates may have the name that another names as its issuer; so many are tried.
_CANDIDATES = 8
# RFC 5280, section 4.2.1.3, in its words.
_KEY_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_KEY_STORES = {b"\xfe\xed\xfe\xed": "a JKS key store", b"\xce\xce\xce\xce": "a JCEKS key store"}
_PKCS12_VERSION = b"\x02\x01\x03"  # RFC 7292, section 4: version 3 comes first
_PKCS7_OID = bytes.fromhex("06092a864886f70d0107")  # RFC 5652, section 14


@dataclass(frozen=True)
class Facts:
    """One certificate in words. `names` are its SANs with their kind; `problems` say what is wrong with it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    key: str
    signature: str
    serial: str
    not_before: datetime
    not_after: datetime
    is_ca: bool
    usages: tuple[str, ...]
    fingerprint: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """A whole file: its certificates in order, how they hang together, what else is there, and what is wrong."""

    certificates: tuple[Facts, ...]
    chain: str
    others: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, with the file or with a certificate."""
        return not self.problems and not any(each.problems for each in self.certificates)


def inspect(content: bytes, now: datetime, *, read_by_others: bool = False) -> Inspection:
    """What a PEM or DER file holds. `read_by_others`: users other than its owner may read it.

    Raises `ValueError` in one line when there is no certificate in it or one is malformed.
    """
    if len(content) > MAXIMUM_BYTES:
        raise ValueError(f"larger than {MAXIMUM_BYTES >> 20} MiB")
    with warnings.catch_warnings():
        # `cryptography` warns of serial numbers that are not positive; here it is said as a problem.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        certificates, others = _read(content)
        words, problems = chain(certificates)
        found = tuple(_numbered(certificates, now))
    if read_by_others and any("private key" in other for other in others):
        problems.append("it holds a private key, and others may read it: chmod 600")
    return Inspection(found, words, tuple(others), tuple(problems))


def printable(text: str) -> str:
    """The text without characters that steer a terminal: names in certificates are what strangers wrote."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def in_words(time: timedelta) -> str:
    """A length of time for people: `45 s`, `59 min`, `23 h`, `12 days`."""
    seconds = abs(time.total_seconds())
    for size, unit in ((2 * 86400, "days"), (2 * 3600, "h"), (90, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


# Reading


def _read(content: bytes) -> tuple[list[Certificate], list[str]]:
    if pem_blocks.BEGIN in content:
        certificates, others = _read_pem(content)
    elif content[:1] == b"\x30":
        certificates, others = _read_der(content), []
    else:
        raise ValueError(_guess(content))
    if not certificates:
        raise ValueError(f"there is no certificate in it, only {', '.join(others)}")
    return certificates, others


def _read_pem(content: bytes) -> tuple[list[Certificate], list[str]]:
    certificates: list[Certificate] = []
    others: list[str] = []
    for block in pem_blocks.blocks(content):
        label = block.label
        if label in _CERTIFICATES:
            try:
                certificates.append(Certificate.of(x509.load_pem_x509_certificate(block.text)))
            except (ValueError, *UNREADABLE) as error:
                raise _malformed(len(certificates) + 1, error) from error
        elif label.endswith("PRIVATE KEY"):
            others.append(f"a private key ({label})")
        else:
            others.append(f"a block {label!r}")
    return certificates, others


def _read_der(content: bytes) -> list[Certificate]:
    certificates: list[Certificate] = []
    for der in _der_values(content):
        try:
            certificates.append(Certificate(der))
        except ValueError as error:
            raise ValueError(_guess(content)) from error
    return certificates


def _der_values(content: bytes) -> Iterator[bytes]:
    """The values that follow one another in DER, each with its tag (X.690, section 8.1.3)."""
    while content:
        length, header = (content[1], 2) if len(content) > 1 else (0, 2)
        if length >= 0x80:
            count = length & 0x7F
            length, header = int.from_bytes(content[2 : 2 + count], "big"), 2 + count
        if content[0] != 0x30 or header + length > len(content):
            raise ValueError(_guess(content))
        yield content[: header + length]
        content = content[header + length :]


def _guess(content: bytes) -> str:
    """What a file that is no certificate looks like."""
    store = _KEY_STORES.get(content[:4])
    if content[:1] == b"\x30" and _PKCS7_OID in content[:24]:
        store = "a PKCS#7 message"
    if content[:1] == b"\x30" and _PKCS12_VERSION in content[:9]:
        store = "a PKCS#12 key store"
    if store:
        return f"it is {store}; handsel cert store list shows what is in it"
    return "it is empty" if not content.strip() else "it is neither PEM nor DER of a certificate"


def _malformed(number: int, error: BaseException) -> ValueError:
    text = " ".join(str(error).split())
    # What the parser of `cryptography` says of its own insides helps nobody.
    return ValueError(f"certificate {number} is malformed" + ("" if "ParseError" in text else f": {text[:200]}"))


# One certificate


def _numbered(certificates: Sequence[Certificate], now: datetime) -> Iterator[Facts]:
    for number, certificate in enumerate(certificates, 1):
        try:
            yield facts(certificate, now)
        except (ValueError, TypeError, *UNREADABLE) as error:
            raise _malformed(number, error) from error


def facts(certificate: Certificate, now: datetime) -> Facts:
    """One certificate in words. Raises `ValueError`, `TypeError` or one of `UNREADABLE` for a malformed one."""
    parsed = certificate.parsed
    key, weak_key = key_in_words(parsed.public_key())
    signature, weak_signature = _signature(parsed)
    names = tuple(_names(parsed))
    problems = [_outside_validity(certificate, now), weak_key]
    if parsed.serial_number <= 0:
        problems.append("its serial number is not positive")
    if not is_self_issued(certificate):
        problems.append(weak_signature)
    if not names and not certificate.is_ca:
        problems.append("no subject alternative name: clients look at nothing else")
    usages = tuple(_usages(parsed))
    if not certificate.is_ca and "keyCertSign" in usages:
        problems.append("wrong use: it may sign certificates, and is no CA")
    return Facts(
        subject=parsed.subject.rfc4514_string(),
        issuer=parsed.issuer.rfc4514_string(),
        names=names,
        key=key,
        signature=signature,
        serial=certificate.serial,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        is_ca=certificate.is_ca,
        usages=usages,
        fingerprint=certificate.fingerprint,
        problems=tuple(problem for problem in problems if problem),
    )


def _outside_validity(certificate: Certificate, now: datetime) -> str:
    if now >= certificate.not_after:
        return f"expired {in_words(now - certificate.not_after)} ago"
    if now < certificate.not_before:
        return f"not valid for another {in_words(certificate.not_before - now)}"
    return ""


def key_in_words(key: PublicKeyTypes) -> tuple[str, str]:
    """The kind of key, and what is wrong with it (NIST SP 800-131A: RSA and DSA from 2048 bits, curves from 224)."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}", _too_short("RSA", key.key_size, 2048)
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
        return f"ECDSA {name}", _too_short("ECDSA", key.curve.key_size, 224)
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA {key.key_size}", "a DSA key, which TLS 1.3 does not know"
    named = {ed25519.Ed25519PublicKey: "Ed25519", ed448.Ed448PublicKey: "Ed448"}
    return next((name for kind, name in named.items() if isinstance(key, kind)), type(key).__name__), ""


def _too_short(kind: str, bits: int, least: int) -> str:
    return f"{kind} key of {bits} bits: too short, {least} is the least" if bits < least else ""


def _signature(parsed: x509.Certificate) -> tuple[str, str]:
    """How it is signed, and what is wrong with that (RFC 9155: no MD5 and no SHA-1)."""
    name = _name_of(parsed.signature_algorithm_oid)
    try:
        digest = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return name, ""
    weak = isinstance(digest, hashes.MD5 | hashes.SHA1)
    return name, f"signed with {digest.name.upper()}, which can be forged" if weak and digest else ""


def _names(parsed: x509.Certificate) -> Iterator[str]:
    """The subject alternative names, each with its kind (RFC 5280, section 4.2.1.6)."""
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    kinds: dict[type, str] = {
        x509.DNSName: "DNS",
        x509.UniformResourceIdentifier: "URI",
        x509.IPAddress: "IP",
        x509.RFC822Name: "email",
    }
    for name in names:
        kind = kinds.get(type(name))
        if kind:
            yield f"{kind}:{name.value}"
        elif isinstance(name, x509.DirectoryName):
            yield f"name:{name.value.rfc4514_string()}"
        elif isinstance(name, x509.RegisteredID):
            yield f"id:{name.value.dotted_string}"
        else:
            yield "another kind of name"


def _usages(parsed: x509.Certificate) -> Iterator[str]:
    """Key usages, then extended ones by the names that OpenSSL has for them."""
    with contextlib.suppress(x509.ExtensionNotFound):
        usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
        yield from (word for name, word in _KEY_USAGES.items() if getattr(usage, name))
    with contextlib.suppress(x509.ExtensionNotFound):
        yield from map(_name_of, parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def wrong_use(usages: Sequence[str], role: str, *, is_ca: bool) -> str:
    """Why a certificate with these usages is none of a TLS `server` or `client`; empty when it is one.

    RFC 5280, section 4.2.1.12: without extended usages it is for any.
    """
    if is_ca:
        return f"wrong use: a CA's certificate is no {role}'s"
    extended = [each for each in usages if each not in _KEY_USAGES.values()]
    if extended and not {f"{role}Auth", "anyExtendedKeyUsage"} & set(extended):
        return f"wrong use: it is for {', '.join(extended)}, and not for a TLS {role}"
    return ""


def _name_of(oid: x509.ObjectIdentifier) -> str:
    """The name that `cryptography` has for it, else its digits."""
    name = getattr(oid, "_name", "Unknown OID")
    return oid.dotted_string if name == "Unknown OID" else str(name)


# How they hang together


def chain(certificates: Sequence[Certificate]) -> tuple[str, list[str]]:
    """In a sentence, and what is wrong. TLS wants the leaf first, each signed by the next (RFC 8446, section 4.4.2)."""
    if len(certificates) > 1 and all(each.is_ca and is_self_issued(each) for each in certificates):
        return f"{len(certificates)} roots, each for itself", []
    start = next((number for number, each in enumerate(certificates) if not each.is_ca), 0)
    path = path_of(certificates, start)
    end = certificates[path[-1]]
    if is_self_issued(end):
        tail = f"up to its root {end.subject!r}" if len(path) > 1 else "it is self-signed"
    else:
        tail = f"its issuer {end.issuer!r} is not in the file"
    problems = []
    if path != sorted(path):
        right = ", ".join(str(number + 1) for number in path)
        problems.append(f"out of order: the right one is {right}")
    missing = [number for number in range(len(certificates)) if number not in path]
    if missing:
        strangers = ", ".join(str(number + 1) for number in missing)
        plural = "s" if len(missing) > 1 else ""
        if not is_self_issued(end):
            problems.append(f"incomplete: nothing here signed {end.subject!r}; its issuer is {end.issuer!r}")
        problems.append(f"certificate{plural} {strangers} {'do' if plural else 'does'} not belong to the chain")
    joined = f"{len(path)} certificates, each signed by the next; " if len(path) > 1 else ""
    return joined + tail, problems


def path_of(certificates: Sequence[Certificate], start: int) -> list[int]:
    """The numbers of a certificate and of those above it, as far as they are there."""
    by_subject: dict[bytes, list[int]] = {}
    for number, each in enumerate(certificates):
        by_subject.setdefault(each.parsed.subject.public_bytes(), []).append(number)
    path = [start]
    while not is_self_issued(certificates[path[-1]]):
        below = certificates[path[-1]]
        candidates = by_subject.get(below.parsed.issuer.public_bytes(), [])[:_CANDIDATES]
        above = next((n for n in candidates if n not in path and _signed(below, certificates[n])), None)
        if above is None:
            break
        path.append(above)
    return path


def _signed(below: Certificate, above: Certificate) -> bool:
    try:
        below.parsed.verify_directly_issued_by(above.parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_self_issued(certificate: Certificate) -> bool:
    """Whether it names itself as its issuer."""
    return certificate.parsed.subject.public_bytes() == certificate.parsed.issuer.public_bytes()
