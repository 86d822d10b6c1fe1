"""What ACME clients show: an HTTP server, a TLS server and a DNS server on loopback, each as odd as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dnslib
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

from handsel.acme.jws import key_authorization
from handsel.model.authority import Validation
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey

TOKEN, THUMBPRINT = "t" * 22, "p" * 43
EXPECTED = key_authorization(TOKEN, THUMBPRINT)
PATH = f"/.well-known/acme-challenge/{TOKEN}"


def answer(body: str | bytes = EXPECTED, status: str = "200 OK", *headers: str) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(content)}", "Connection: close"])
    return head.encode() + b"\r\n\r\n" + content


@contextlib.asynccontextmanager
async def http_server(answers: Callable[[str], bytes | float]) -> AsyncIterator[tuple[int, list[str]]]:
    """Answers each path with bytes, or waits so many seconds; gives its port and the request heads that came."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        found = answers(head.split(" ")[1])
        if isinstance(found, float):
            await asyncio.sleep(found)
        else:
            writer.write(found)
            await writer.drain()

    async with _listening(serve) as port:
        yield port, heads


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _listening(serve: _Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port; at its end every connection is closed, whatever was going on."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(handle(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def proof_certificate(
    folder: Path,
    names: list[x509.GeneralName],
    *,
    digest: bytes | None = None,
    critical: bool = True,
    self_signed: bool = True,
) -> tuple[Path, Path]:
    """A certificate for tls-alpn-01, as files."""
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proof")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    shown = digest if digest is not None else hashlib.sha256(EXPECTED.encode()).digest()
    value = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.31"), b"\x04" + bytes([len(shown)]) + shown)
    certificate = builder.add_extension(value, critical=critical).sign(key if self_signed else other, hashes.SHA256())
    files = folder / "proof.crt", folder / "proof.key"
    files[0].write_bytes(Certificate.of(certificate).pem)
    files[1].write_bytes(PrivateKey(key).pem().reveal())
    return files


@contextlib.asynccontextmanager
async def tls_server(files: tuple[Path, Path], *, protocol: str = "acme-tls/1") -> AsyncIterator[tuple[int, list[str]]]:
    """Shows a certificate; gives its port and the names that were asked for by SNI."""
    asked: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    context.set_alpn_protocols([protocol])
    context.sni_callback = lambda _session, name, _context: asked.append(name or "")

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _listening(serve, context) as port:
        yield port, asked


Zone = dict[tuple[str, str], list[str]]
"""Records by (name, type), in the zone file's words."""


class _Dns(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, reply: Callable[[bytes, bytes], list[bytes]]) -> None:
        self._zone = zone
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dnslib.DNSRecord.parse(data)
        found = query.reply()
        name, kind = str(query.q.qname).rstrip("."), dnslib.QTYPE[query.q.qtype]
        known = {each for each, _ in self._zone}
        records = self._zone.get((name, kind), [])
        for text in records:
            found.add_answer(*dnslib.RR.fromZone(f"{name}. 60 {kind} {text}"))
        for text in [] if records else self._zone.get((name, "CNAME"), []):
            found.add_answer(*dnslib.RR.fromZone(f"{name}. 60 CNAME {text}"))
        if name not in known:
            found.header.rcode = dnslib.RCODE.NXDOMAIN
        for packet in self._reply(data, found.pack()):
            self._transport.sendto(packet, address)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def dns_server(
    zone: Zone, reply: Callable[[bytes, bytes], list[bytes]] = lambda _query, answer: [answer]
) -> AsyncIterator[str]:
    """Answers by a zone; gives its address and port. `reply` may send something else than the honest answer."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Dns(zone, reply), sock=sock)
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def settings(**changed: object) -> Callable[[], Validation]:
    made = Validation(**changed)  # type: ignore[arg-type]
    return lambda: made


def ip(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))
