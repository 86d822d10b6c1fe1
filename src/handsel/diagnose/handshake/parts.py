"""Certificates, requests for them, key exchanges, tickets and alerts as values (RFC 8446, section 4; RFC 5246, 7.4)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from handsel.diagnose.handshake.octets import Octets, extensions
from handsel.pki.certificate import UNREADABLE

_MOST_BYTES = 1 << 18
_MOST_CERTIFICATES = 32
_STATUS, _SIGNATURES, _TIMESTAMPS, _AUTHORITIES = 5, 13, 18, 47
_NAMED_CURVE = 3


@dataclass(frozen=True)
class CertificateMessage:
    """A chain as it was sent, each in DER. `stapled`: an OCSP answer came with the leaf."""

    chain: tuple[bytes, ...]
    stapled: bool = False
    timestamps: bool = False


def certificate(body: bytes, *, tls13: bool) -> CertificateMessage:
    """The message without its header. Raises `ValueError`."""
    _bounded(body)
    octets = Octets(body)
    if tls13:
        octets.vector(1)  # the context, which is empty within a handshake

    def entry(each: Octets) -> tuple[bytes, dict[int, bytes]]:
        der = each.vector(3).rest()
        return der, extensions(each) if tls13 else {}

    entries = octets.vector(3).each(entry)
    octets.end()
    if len(entries) > _MOST_CERTIFICATES:
        raise ValueError(f"a chain of {len(entries)} certificates")
    first = entries[0][1] if entries else {}
    return CertificateMessage(tuple(der for der, _ in entries), _STATUS in first, _TIMESTAMPS in first)


@dataclass(frozen=True)
class CertificateRequest:
    """What a server asks of its client. `authorities`: the names of the CAs that it takes; empty: it does not say."""

    authorities: tuple[str, ...]
    signatures: tuple[int, ...]


def certificate_request(body: bytes, *, tls13: bool) -> CertificateRequest:
    """RFC 8446, section 4.3.2; RFC 5246, section 7.4.4. Raises `ValueError`."""
    _bounded(body)
    octets = Octets(body)
    octets.vector(1)  # the context; under TLS 1.2 the kinds of keys, which the algorithms say better
    if not tls13:
        signatures, authorities = octets.vector(2).numbers(2), octets.vector(2)
    else:
        found = extensions(octets)
        if _SIGNATURES not in found:
            raise ValueError("a request without signature algorithms")
        signatures = Octets(found[_SIGNATURES]).vector(2).numbers(2)
        authorities = Octets(found[_AUTHORITIES]).vector(2) if _AUTHORITIES in found else Octets(b"")
    octets.end()
    return CertificateRequest(authorities.each(lambda each: _name(each.vector(2).rest())), signatures)


def _name(der: bytes) -> str:
    """A distinguished name in words (RFC 4514)."""
    try:
        return x509.Name.from_bytes(der).rfc4514_string() or "(empty)"
    except (ValueError, *UNREADABLE):
        return "(a name that cannot be read)"


def certificate_verify(body: bytes) -> int:
    """The signature's algorithm. Raises `ValueError`."""
    octets = Octets(body)
    algorithm = octets.number(2)
    octets.vector(2)
    octets.end()
    return algorithm


@dataclass(frozen=True)
class KeyExchange:
    """The server's half under TLS 1.2. `group` None: not an elliptic curve."""

    group: int | None
    signature: int | None


def server_key_exchange(body: bytes) -> KeyExchange:
    """RFC 8422, section 5.4. Raises `ValueError`."""
    octets = Octets(body)
    if octets.number(1) != _NAMED_CURVE:
        return KeyExchange(None, None)
    group = octets.number(2)
    octets.vector(1)
    signature = octets.number(2) if octets else None
    return KeyExchange(group, signature)


def certificate_status(body: bytes) -> int:
    """The length of a stapled OCSP answer (RFC 6066, section 8). Raises `ValueError`."""
    octets = Octets(body)
    octets.number(1)
    length = len(octets.vector(3).rest())
    octets.end()
    return length


def new_session_ticket(body: bytes) -> int:
    """For how many seconds a ticket holds (RFC 8446, section 4.6.1; RFC 5077, section 3.3). Raises `ValueError`."""
    return Octets(body).number(4)


def alert(body: bytes) -> tuple[bool, int]:
    """Whether it is fatal, and its number (RFC 8446, section 6). Raises `ValueError`."""
    octets = Octets(body)
    level, number = octets.number(1), octets.number(1)
    octets.end()
    return level == 2, number


def _bounded(body: bytes) -> None:
    if len(body) > _MOST_BYTES:
        raise ValueError(f"a message of {len(body)} bytes")
