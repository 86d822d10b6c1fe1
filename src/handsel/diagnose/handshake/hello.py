"""The two hellos and what belongs to them (RFC 8446, sections 4.1 and 4.3.1; RFC 5246, section 7.4.1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from handsel.diagnose.handshake.octets import Octets, extensions

_SERVER_NAME, _GROUPS, _SIGNATURES, _ALPN, _VERSIONS, _KEY_SHARE = 0, 10, 13, 16, 43, 51
_COOKIE = 44
_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()
"""The random of a ServerHello that is a HelloRetryRequest (RFC 8446, section 4.1.3)."""


@dataclass(frozen=True)
class ClientHello:
    """What a client offers; numbers as IANA has them."""

    versions: tuple[int, ...]
    suites: tuple[int, ...]
    groups: tuple[int, ...] = ()
    shares: tuple[int, ...] = ()
    """The groups for which it sent its half of the key exchange already."""
    signatures: tuple[int, ...] = ()
    alpn: tuple[str, ...] = ()
    server_name: str = ""
    extensions: tuple[int, ...] = ()


@dataclass(frozen=True)
class ServerHello:
    """What a server chose. `retry`: it is a HelloRetryRequest, and `group` the one that it wants."""

    version: int
    suite: int
    group: int | None = None
    alpn: str = ""
    retry: bool = False
    cookie: bool = False
    extensions: tuple[int, ...] = field(default=())


def client_hello(body: bytes) -> ClientHello:
    """The message without its header. Raises `ValueError`."""
    octets = Octets(body)
    version = octets.number(2)
    octets.take(32)
    octets.vector(1)
    suites = octets.vector(2).numbers(2)
    octets.vector(1)
    found = extensions(octets)
    octets.end()
    return ClientHello(
        versions=Octets(found[_VERSIONS]).vector(1).numbers(2) if _VERSIONS in found else (version,),
        suites=suites,
        groups=Octets(found[_GROUPS]).vector(2).numbers(2) if _GROUPS in found else (),
        shares=_shares(found[_KEY_SHARE]) if _KEY_SHARE in found else (),
        signatures=Octets(found[_SIGNATURES]).vector(2).numbers(2) if _SIGNATURES in found else (),
        alpn=_alpn(found.get(_ALPN)),
        server_name=_server_name(found.get(_SERVER_NAME)),
        extensions=tuple(found),
    )


def server_hello(body: bytes) -> ServerHello:
    """The same for the server's. Raises `ValueError`."""
    octets = Octets(body)
    version = octets.number(2)
    retry = octets.take(32) == _RETRY
    octets.vector(1)
    suite = octets.number(2)
    octets.number(1)
    found = extensions(octets)
    octets.end()
    return ServerHello(
        version=Octets(found[_VERSIONS]).number(2) if _VERSIONS in found else version,
        suite=suite,
        group=Octets(found[_KEY_SHARE]).number(2) if _KEY_SHARE in found else None,
        alpn=next(iter(_alpn(found.get(_ALPN))), ""),
        retry=retry,
        cookie=_COOKIE in found,
        extensions=tuple(found),
    )


@dataclass(frozen=True)
class EncryptedExtensions:
    """The rest of the server's choices under TLS 1.3."""

    alpn: str
    extensions: tuple[int, ...]


def encrypted_extensions(body: bytes) -> EncryptedExtensions:
    """The message without its header. Raises `ValueError`."""
    octets = Octets(body)
    found = extensions(octets)
    octets.end()
    return EncryptedExtensions(next(iter(_alpn(found.get(_ALPN))), ""), tuple(found))


def asking_for(group: int, body: bytes) -> bytes:
    """A ClientHello that names `group` first and brings no key shares, out of another one's body. Raises `ValueError`.

    The server must answer with the group that it wants (RFC 8446, section 4.2.8), so nobody has to be able to compute
    in it to find out.
    """
    octets = Octets(body)
    head = octets.take(34)
    session, suites, compression = (octets.vector(size).rest() for size in (1, 2, 1))
    found = extensions(octets)
    others = Octets(found[_GROUPS]).vector(2).rest() if _GROUPS in found else b""
    found[_GROUPS] = _vector(2, group.to_bytes(2, "big") + others)
    found[_KEY_SHARE] = _vector(2, b"")
    joined = b"".join(number.to_bytes(2, "big") + _vector(2, content) for number, content in found.items())
    hello = head + _vector(1, session) + _vector(2, suites) + _vector(1, compression) + _vector(2, joined)
    return b"\x01" + _vector(3, hello)


def _vector(size: int, content: bytes) -> bytes:
    try:
        return len(content).to_bytes(size, "big") + content
    except OverflowError as error:
        raise ValueError(f"{len(content)} bytes are too many for their place") from error


def _shares(content: bytes) -> tuple[int, ...]:
    def share(octets: Octets) -> int:
        group = octets.number(2)
        octets.vector(2)
        return group

    return Octets(content).vector(2).each(share)


def _alpn(content: bytes | None) -> tuple[str, ...]:
    if content is None:
        return ()
    return Octets(content).vector(2).each(lambda each: each.vector(1).rest().decode("latin-1"))


def _server_name(content: bytes | None) -> str:
    """RFC 6066, section 3; of a server it is empty."""
    if not content:
        return ""
    octets = Octets(content).vector(2)
    octets.number(1)
    return octets.vector(2).rest().decode("latin-1")
