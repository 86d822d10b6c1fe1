"""Where the agent answers the challenges of ACME CAs (RFC 8555, section 8.3; RFC 8737), for as long as it is asked.

One listener an address and kind, shared by all orders that are open; closed when the last one is done.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import ipaddress
import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from handsel.agent.acme import server_name
from handsel.errors import StateError
from handsel.model.acme_client import Challenge
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey

Address = tuple[str, int]
_PATH = "/.well-known/acme-challenge/"
_ALPN = "acme-tls/1"
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_SECONDS, _MOST_AT_ONCE = 5.0, 32


@dataclass(frozen=True)
class Answer:
    """What is shown for one name: `key_authorization` for `token` (RFC 8555, section 8.1)."""

    name: str
    token: str
    key_authorization: str


class Challenges:
    """The listeners of one agent. Called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, Address], _Listener] = {}

    @contextlib.contextmanager
    def answered(self, kind: str, address: Address, answers: Sequence[Answer]) -> Iterator[None]:
        """As long as it is open, these challenges are answered. Raises `StateError` where nobody can listen."""
        if not answers:
            yield
            return
        made = {_key(kind, each): _shown(kind, each) for each in answers}
        with self._lock:
            listener = self._open.get((kind, address)) or _listen(kind, address)
            self._open[kind, address] = listener
            listener.shows.append(made)
        try:
            yield
        finally:
            with self._lock:
                listener.shows.remove(made)
                if not listener.shows:
                    del self._open[kind, address]
                    listener.close()


@dataclass
class _Listener:
    """A listener and what it shows: for each order that is open, by token or name."""

    server: _Server
    shows: list[dict[str, Any]] = field(default_factory=list)

    def find(self, key: str) -> Any:
        return next((each[key] for each in list(self.shows) if key in each), None)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """So many connections at once, each with little time; more are closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Address, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(address, handler, bind_and_activate=False)
        self.socket.close()
        self.socket = _socket(address)
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self.listener = _Listener(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever breaks off is not asked why."""


class _HttpHandler(http.server.BaseHTTPRequestHandler):
    timeout = _SECONDS
    server: _Server

    def do_GET(self) -> None:  # the name that http.server asks for
        token = self.path.removeprefix(_PATH) if self.path.startswith(_PATH) else ""
        content = self.server.listener.find(token)
        self.send_response_only(200 if content else 404)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: what strangers ask for is no news."""


class _TlsHandler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(_SECONDS)
        context = _tls()

        def choose(secure: Any, name: str | None, _context: ssl.SSLContext) -> int | None:
            found = self.server.listener.find(name or "")
            if found is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            secure.context = found
            return None

        context.sni_callback = choose
        with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as secure:
            secure.unwrap()


def _listen(kind: str, address: Address) -> _Listener:
    handler = _HttpHandler if kind == Challenge.HTTP else _TlsHandler
    try:
        server = _Server(address, handler)
    except OSError as error:
        raise StateError(
            f"challenges cannot be answered at {address[0]}:{address[1]}: {error.strerror}",
            next_step="name another address with acme.listen, and lead the CA's port there",
        ) from error
    threading.Thread(target=server.serve_forever, args=(0.1,), name="acme-challenges", daemon=True).start()
    return server.listener


def _socket(address: Address) -> socket.socket:
    host, port = address
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _key(kind: str, answer: Answer) -> str:
    return answer.token if kind == Challenge.HTTP else server_name(answer.name)


def _shown(kind: str, answer: Answer) -> bytes | ssl.SSLContext:
    if kind == Challenge.HTTP:
        return answer.key_authorization.encode()
    key = PrivateKey.generate()
    certificate = challenge_certificate(answer, key, datetime.now(UTC))
    context = _tls()
    # `ssl` reads from files only.
    with tempfile.TemporaryDirectory(prefix="handsel-") as folder:
        file = Path(folder) / "pair.pem"
        file.write_bytes(key.pem().reveal() + certificate.pem)
        context.load_cert_chain(file)
    return context


def challenge_certificate(answer: Answer, key: PrivateKey, now: datetime) -> Certificate:
    """What is shown for tls-alpn-01: self-signed, the one name, the digest of the key authorization (RFC 8737, 3)."""
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(answer.name))
    except ValueError:
        name = x509.DNSName(answer.name)
    digest = hashlib.sha256(answer.key_authorization.encode()).digest()
    nobody = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "acme-tls/1")])
    return Certificate.of(
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.handle.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, bytes([4, len(digest)]) + digest), critical=True)
        .sign(key.handle, key.digest)
    )


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_ALPN])
    return context
