"""http-01 (RFC 8555, section 8.3): one small client that goes where it was told, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httptools

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.proof import Address, check_body
from handsel.authority.adapters.probes.names import Lookup
from handsel.model.authority import Validation
from handsel.pki.names import dns_name

_MOST_REDIRECTS = 10
_MOST_BYTES = 64 << 10
_LARGEST_BODY = 8 << 10
_CONNECT_SECONDS = 4.0
_OK = 200
_REDIRECTS = (301, 302, 303, 307, 308)


async def look(identifier: Identifier, token: str, expected: str, settings: Validation, lookup: Lookup) -> None:
    """Fetch what the client shows, and compare. Raises `Problem`."""
    host = f"[{identifier.value}]" if ":" in identifier.value else identifier.value
    port = "" if settings.http_port == 80 else f":{settings.http_port}"
    url = f"http://{host}{port}/.well-known/acme-challenge/{token}"
    for _ in range(_MOST_REDIRECTS + 1):
        answer = await _fetch(url, settings, lookup)
        if answer.status == _OK:
            check_body(bytes(answer.body), expected, url)
            return
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or location is None:
            raise Problem("incorrectResponse", f"{url} answers {answer.status}")
        url = urljoin(url, location)
    raise Problem("connection", f"{identifier} redirects more than {_MOST_REDIRECTS} times")


@dataclass
class _Answer:
    """What the parser gathers (its callbacks have names that httptools gives)."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    done: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.done = True


@dataclass(frozen=True)
class _Target:
    """Where one request goes: `name` is what is resolved and sent as SNI, `authority` what Host says."""

    identifier: Identifier
    port: int
    encrypted: bool
    authority: str
    path: str


async def _fetch(url: str, settings: Validation, lookup: Lookup) -> _Answer:
    target = _target(url, settings)
    failure: Exception | None = None
    # Resolved once for each hop, and the address is the one that is connected to: nothing can change in between.
    for address in await lookup.addresses(target.identifier):
        try:
            return await _ask(target, address)
        except (OSError, TimeoutError) as error:
            failure = error
        except httptools.HttpParserError as error:
            raise Problem("connection", f"{url} does not answer in HTTP: {error}") from error
    raise Problem("connection", f"{target.authority} cannot be reached: {failure or 'no address'}")


def _target(url: str, settings: Validation) -> _Target:
    """The next hop, if it is one that may be taken."""
    try:
        parts = urlsplit(url)
        encrypted = {"http": False, "https": True}[parts.scheme]
        host, port = parts.hostname or "", parts.port or (443 if encrypted else 80)
        identifier = _identifier(host)
    except (KeyError, ValueError) as error:
        raise Problem("connection", f"a redirect leads to {url[:200]!r}, which is not followed") from error
    if port not in (80, 443, settings.http_port, settings.tls_port):
        raise Problem("connection", f"a redirect leads to port {port}, which is not asked")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(each.isspace() or not each.isprintable() for each in path):
        raise Problem("connection", "a redirect leads to a path that cannot be sent")
    return _Target(identifier, port, encrypted, parts.netloc.rpartition("@")[2], path)


def _identifier(host: str) -> Identifier:
    try:
        return Identifier("ip", str(ipaddress.ip_address(host)))
    except ValueError:
        return Identifier("dns", dns_name(host))


async def _ask(target: _Target, address: Address) -> _Answer:
    name = target.identifier.value if target.encrypted and target.identifier.type == "dns" else None
    async with asyncio.timeout(_CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(
            str(address), target.port, ssl=_any_certificate() if target.encrypted else None, server_hostname=name
        )
    try:
        writer.write(
            f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: handsel\r\nAccept: */*\r\n"
            f"Connection: close\r\n\r\n".encode("ascii")
        )
        return await _read(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 0.5)


async def _read(reader: asyncio.StreamReader) -> _Answer:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    taken = 0
    while not answer.done and (part := await reader.read(8192)):
        parser.feed_data(part)
        taken += len(part)
        answer.status = parser.get_status_code()
        if taken > _MOST_BYTES or len(answer.body) > _LARGEST_BODY:
            raise Problem("incorrectResponse", f"the answer has more than {_LARGEST_BODY} bytes")
    if not answer.status:
        raise ConnectionError("the connection ended without an answer")
    return answer


def _any_certificate() -> ssl.SSLContext:
    """A redirect may lead to https before there is a certificate: it is not looked at, as at the public CAs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
