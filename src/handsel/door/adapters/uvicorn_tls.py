"""Doors on uvicorn: HTTPS with the verified client certificate in the ASGI scope, and plain HTTP on Unix sockets.

uvicorn verifies client certificates but does not hand them to the application; the subclass below does (uvicorn pull
requests 3132 and 3133). `tests/door/test_uvicorn_tls.py` fails when uvicorn changes what this rests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections import Counter
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from handsel.door.asgi import ClientLeftError, Door
from handsel.errors import PortInUse, StateError
from handsel.pki.certificate import Certificate, to_pem

_GRACE_SECONDS = 3
_BACKLOG = 512
HEAD_SECONDS = 10.0
"""How long the head of a request may take, from the connection or from its first byte."""
BODY_SECONDS = 15.0
"""How long the body of a request may take."""
MOST_CONNECTIONS = 512
"""Connections that one client address may have open at a door."""


class _TlsProtocol(HttpToolsProtocol):
    """Puts the client's leaf into `scope["extensions"]["tls"]` for each request of a connection.

    It also ends connections that are slow to say what they want, and those that are too many from one address: uvicorn
    has a limit for idle ones only. `open_connections` counts them by address, for one door.
    """

    def __init__(self, *arguments: Any, open_connections: Counter[str], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open_connections = open_connections
        self._address = ""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]  # it is one in all but name
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._open_connections[self._address] += 1
        if self._address and self._open_connections[self._address] > MOST_CONNECTIONS:
            transport.abort()
            return
        connection = transport.get_extra_info("ssl_object")
        tls = {"client_certificate": connection.getpeercert(True)} if connection is not None else {}
        self.app = _on_connection(self.app, transport, tls)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self._open_connections[self._address] -= 1
        if not self._open_connections[self._address]:
            del self._open_connections[self._address]
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_expecting()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Gathering:
    """A transport that sends in one piece what is written in one step of the loop.

    uvicorn writes head and body of an answer apart, which would be two TLS records and two system calls.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            whole, self._parts = b"".join(self._parts), []
            if not self._transport.is_closing():
                self._transport.write(whole)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _on_connection(application: Any, transport: asyncio.Transport, tls: dict[str, Any]) -> Any:
    """The application for the requests of one connection: told who the client is, and when it has left."""

    async def on_connection(scope: Any, receive: Any, send: Any) -> None:
        async def send_if_there(message: Any) -> None:
            # uvicorn drops what is sent to a client that has left, and a long answer would go on for ever.
            if transport.is_closing():
                raise ClientLeftError
            await send(message)

        async def receive_in_time() -> Any:
            try:
                async with asyncio.timeout_at(deadline):
                    return await receive()
            except TimeoutError:
                transport.abort()
                raise ClientLeftError from None

        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        scope.setdefault("extensions", {})["tls"] = tls
        with contextlib.suppress(ClientLeftError):
            await application(scope, receive_in_time, send_if_there)

    return on_connection


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: whoever composes the process owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class DoorServer:
    """A door that is open: `stop` closes it after the requests under way."""

    def __init__(self, door: Door, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        self._socket = listening
        config = uvicorn.Config(
            door,
            http=partial(_TlsProtocol, open_connections=Counter()),  # type: ignore[arg-type]  # called like one
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            # Limits and tickets rest on the address of the peer: nobody else says what it is.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ssl_context_factory=(lambda _config, _default: context) if context else None,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise StateError("the server's door did not open")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        if self._task is not None:
            self._server.should_exit = True
            await self._task


class DoorTls:
    """TLS 1.3 of the server's door: a client certificate is optional and verified against the roots when it comes.

    What it shows and whom it trusts can change while the door is open: new connections see the newest.
    """

    def __init__(self, roots: Sequence[Certificate]) -> None:
        self._newest = _server_context(roots)
        self._shown: tuple[Path, Path] | None = None
        # The door has one context for ever, which can learn a root and never forget one; so it gives each connection to
        # the newest, which is another one after the roots have changed.
        self.context = _server_context(roots)
        self.context.sni_callback = self._use_newest

    def show(self, chain: Path, key: Path) -> None:
        """Show this certificate from now on."""
        self._newest.load_cert_chain(chain, key)
        self._shown = chain, key

    def trust(self, roots: Sequence[Certificate]) -> None:
        """Believe client certificates of these roots from now on, and of no other."""
        newest = _server_context(roots)
        if self._shown is not None:
            newest.load_cert_chain(*self._shown)
        self._newest = newest

    def _use_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest


def _server_context(roots: Sequence[Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=to_pem(tuple(roots)).decode())
    # A resumed session would skip the check of expiry.
    context.num_tickets = 0
    return context


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `PortInUse`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol said, asyncio turns Nagle's delay off; without, an answer in two writes waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise PortInUse(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    listening.setblocking(False)
    return listening


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket of mode 0600; a dead one at the same path is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise StateError(f"the socket {path} cannot be made: {error.strerror or error}") from error
    finally:
        os.umask(before)
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening
