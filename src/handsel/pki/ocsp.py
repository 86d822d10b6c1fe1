"""OCSP requests and responses (RFC 6960): several certificates in one request, whatever hash names the issuer.

`cryptography` takes one certificate a request and a response, so both are read and written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from handsel.pki import der
from handsel.pki.certificate import Certificate
from handsel.pki.der import Reader
from handsel.pki.keys import PrivateKey
from handsel.pki.signing import sign_der, signature_algorithm

MOST_CERTIFICATES = 32
LONGEST_NONCE = 128
"""Octets (RFC 9654, section 2.1)."""

_BASIC = der.oid("1.3.6.1.5.5.7.48.1.1")
_NONCE = der.oid("1.3.6.1.5.5.7.48.1.2")
_HASHES = {
    der.oid("1.3.14.3.2.26"): "sha1",
    der.oid("2.16.840.1.101.3.4.2.1"): "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
_CONTEXT = 0xA0
_GOOD, _UNKNOWN = b"\x80\x00", b"\x82\x00"
_REVOKED = 0xA1


class Problem(IntEnum):
    """Why there is no answer (RFC 6960, section 4.2.1). Such a response is not signed."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True)
class CertId:
    """Which certificate is asked about: hashes of its issuer's name and key, and its serial number.

    `hash_name` is None for a hash that is not known here; `der` is the CertID as it was sent.
    """

    hash_name: str | None
    name_hash: bytes
    key_hash: bytes
    serial: int
    der: bytes = field(repr=False)

    @property
    def issuer(self) -> tuple[str | None, bytes, bytes]:
        """What names the issuer, see `issuer_ids`."""
        return self.hash_name, self.name_hash, self.key_hash


@dataclass(frozen=True)
class Query:
    """A request: what is asked about, and the nonce that binds the answer to it."""

    asked: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True)
class Status:
    """How one certificate stands. `revoked_at` None: it is good. `known` False: it was never issued."""

    known: bool = True
    revoked_at: datetime | None = None
    reason: int = 0


@dataclass(frozen=True)
class Responder:
    """Who signs answers for one CA: a certificate with the usage OCSPSigning, issued by that CA (section 4.2.2.2)."""

    key: PrivateKey
    certificate: Certificate


def issuer_ids(issuer: Certificate) -> tuple[tuple[str, bytes, bytes], ...]:
    """The ways in which a CertID may name this issuer."""
    name, key = issuer.parsed.subject.public_bytes(), key_bits(issuer)
    return tuple((each, hashlib.new(each, name).digest(), hashlib.new(each, key).digest()) for each in _HASHES.values())


def key_bits(certificate: Certificate) -> bytes:
    """The public key without algorithm and padding count: what is hashed in a CertID and in a responder's id."""
    outer = Reader(certificate.public_key_der).inside(der.SEQUENCE)
    outer.read(der.SEQUENCE)
    return outer.read(der.BIT_STRING)[1:]


def parse(data: bytes) -> Query:
    """The request in `data`. A signature on it is not looked at. Raises `ValueError` when it is malformed."""
    outer = Reader(data)
    request = outer.inside(der.SEQUENCE)
    outer.end()
    body = request.inside(der.SEQUENCE)
    request.optional(_CONTEXT)  # a signature says nothing here: anybody may ask
    request.end()
    version = body.optional(_CONTEXT)
    if version is not None and version.read_integer() != 0:
        raise ValueError("the version is not 1")
    body.optional(_CONTEXT | 1)  # who asks
    listed = body.inside(der.SEQUENCE)
    extensions = body.optional(_CONTEXT | 2)
    body.end()
    asked: list[CertId] = []
    while listed.next_tag is not None:
        if len(asked) == MOST_CERTIFICATES:
            raise ValueError(f"a request asks about at most {MOST_CERTIFICATES} certificates")
        asked.append(_read_single(listed.inside(der.SEQUENCE)))
    if not asked:
        raise ValueError("the request asks about nothing")
    return Query(tuple(asked), _read_extensions(extensions) if extensions else None)


def _read_single(single: Reader) -> CertId:
    whole = single.read_whole(der.SEQUENCE)
    extensions = single.optional(_CONTEXT)
    single.end()
    if extensions is not None:
        _read_extensions(extensions)
    inner = Reader(whole).inside(der.SEQUENCE)
    algorithm = inner.inside(der.SEQUENCE).read_whole(der.OID)
    name_hash, key_hash = inner.read(der.OCTET_STRING), inner.read(der.OCTET_STRING)
    serial = inner.read_integer()
    inner.end()
    return CertId(_HASHES.get(algorithm), name_hash, key_hash, serial, whole)


def _read_extensions(wrapped: Reader) -> bytes | None:
    """The nonce among extensions. One that is critical and not known may not be passed over."""
    extensions = wrapped.inside(der.SEQUENCE)
    wrapped.end()
    nonce = None
    while extensions.next_tag is not None:
        extension = extensions.inside(der.SEQUENCE)
        name = extension.read_whole(der.OID)
        critical = extension.optional(der.BOOLEAN) is not None
        value = extension.read(der.OCTET_STRING)
        extension.end()
        if name == _NONCE:
            if nonce is not None:
                raise ValueError("there are two nonces")
            nonce = _read_nonce(value)
        elif critical:
            raise ValueError("a critical extension is not known here")
    return nonce


def _read_nonce(value: bytes) -> bytes:
    inner = Reader(value)
    nonce = inner.read(der.OCTET_STRING)
    inner.end()
    if not 1 <= len(nonce) <= LONGEST_NONCE:
        raise ValueError(f"a nonce has 1 to {LONGEST_NONCE} octets (RFC 9654, 2.1)")
    return nonce


def request(asked: Sequence[CertId], nonce: bytes | None = None) -> bytes:
    """A request about certificates, for those who ask."""
    extensions = der.element(_CONTEXT | 2, der.sequence(_nonce(nonce))) if nonce is not None else b""
    return der.sequence(der.sequence(der.sequence(*(der.sequence(each.der) for each in asked)), extensions))


def cert_id(issuer: Certificate, serial: int, hash_name: str = "sha256") -> CertId:
    """The CertID of a certificate of this issuer."""
    name, key = issuer.parsed.subject.public_bytes(), key_bits(issuer)
    hashed, key_hash = hashlib.new(hash_name, name).digest(), hashlib.new(hash_name, key).digest()
    algorithm = next(each for each, known in _HASHES.items() if known == hash_name)
    whole = der.sequence(
        der.sequence(algorithm, der.element(der.NULL)), der.element(der.OCTET_STRING, hashed),
        der.element(der.OCTET_STRING, key_hash), der.integer(serial),
    )  # fmt: skip
    return CertId(hash_name, hashed, key_hash, serial, whole)


def problem(why: Problem) -> bytes:
    """A response that answers nothing."""
    return der.sequence(der.element(der.ENUMERATED, bytes((why,))))


def response(
    found: Sequence[tuple[CertId, Status]], responder: Responder, *, now: datetime, until: datetime, nonce: bytes | None
) -> bytes:
    """A signed response, true from `now` until `until`; the responder is named by its key (section 4.2.1)."""
    moment = der.generalized_time(now)
    life = moment + der.element(_CONTEXT, der.generalized_time(until))
    answers = der.sequence(*(der.sequence(each.der, _status(status), life) for each, status in found))
    extensions = der.element(_CONTEXT | 1, der.sequence(_nonce(nonce))) if nonce is not None else b""
    key_hash = hashlib.sha1(key_bits(responder.certificate), usedforsecurity=False).digest()
    named = der.element(_CONTEXT | 2, der.element(der.OCTET_STRING, key_hash))
    body = der.sequence(named, moment, answers, extensions)
    basic = der.sequence(
        body, signature_algorithm(responder.key), der.bit_string(sign_der(responder.key, body)),
        der.element(_CONTEXT, der.sequence(responder.certificate.der)),
    )  # fmt: skip
    content = der.element(_CONTEXT, der.sequence(_BASIC, der.element(der.OCTET_STRING, basic)))
    return der.sequence(der.element(der.ENUMERATED, b"\0"), content)


def _status(status: Status) -> bytes:
    if not status.known:
        return _UNKNOWN
    if status.revoked_at is None:
        return _GOOD
    reason = der.element(_CONTEXT, der.element(der.ENUMERATED, bytes((status.reason,)))) if status.reason else b""
    return der.element(_REVOKED, der.generalized_time(status.revoked_at), reason)


def _nonce(nonce: bytes) -> bytes:
    return der.sequence(_NONCE, der.element(der.OCTET_STRING, der.element(der.OCTET_STRING, nonce)))
