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
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from handsel.door.asgi import ClientLeftError, Door
from handsel.errors import PortInUse, StateError
from handsel.pki.certificate import Certificate, to_pem

_GRACE_SECONDS = 3
_BACKLOG = 512


class _TlsProtocol(HttpToolsProtocol):
    """Puts the client's leaf into `scope["extensions"]["tls"]` for each request of a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        tls = {"client_certificate": connection.getpeercert(True)} if connection is not None else {}
        self.app = _on_connection(self.app, transport, tls)


def _on_connection(application: Any, transport: asyncio.Transport, tls: dict[str, Any]) -> Any:
    """The application for the requests of one connection: told who the client is, and when it has left."""

    async def on_connection(scope: Any, receive: Any, send: Any) -> None:
        async def send_if_there(message: Any) -> None:
            # uvicorn drops what is sent to a client that has left, and a long answer would go on for ever.
            if transport.is_closing():
                raise ClientLeftError
            await send(message)

        scope.setdefault("extensions", {})["tls"] = tls
        with contextlib.suppress(ClientLeftError):
            await application(scope, receive, send_if_there)

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
            http=_TlsProtocol,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
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


def server_context(roots: Sequence[Certificate]) -> ssl.SSLContext:
    """TLS 1.3 for the server's door: a client certificate is optional and verified against `roots` when it comes.

    Load the server's own chain with `context.load_cert_chain`, also later: new connections use the new one.
    """
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
