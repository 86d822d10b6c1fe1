"""A handler is `Request → Response`, or `Request → Stream` for a long answer. ASGI is spoken here and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from handsel.errors import HandselError, NotAuthorised, ProtocolError, Refused

MAXIMUM_BODY = 1 << 20
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """One request.

    `path` is decoded, `raw_path` as it was sent; `headers` have lower-case names; `peer` is the DER of the verified
    client certificate, or None; `client` the address that it comes from.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    peer: bytes | None = field(repr=False, default=None)
    raw_path: bytes = b""
    client: str = ""


@dataclass(frozen=True)
class Response:
    """An answer. `headers` come beside content type and length, in this order."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stream:
    """A long answer: the pieces that `pieces` yields, until it ends or the client leaves; then it is closed."""

    pieces: AsyncGenerator[bytes]
    content_type: str = "application/octet-stream"


Handler = Callable[[Request], Awaitable[Response | Stream]]
Routes = Mapping[tuple[str, str], Handler]
"""Handlers by (method, path). A path that ends in `/` is everything below it, and `*` any method: such a handler
answers whatever comes, its own errors included."""

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientLeftError(Exception):
    """The client has left: nobody waits for what is being read or sent. Raised by `receive` and `send` of a server."""


class Door:
    """The ASGI application over some routes. Errors of ours become one line of text with their code."""

    def __init__(
        self, routes: Routes, *, on_bug: Callable[[Exception], None], larger: Mapping[str, int] | None = None
    ) -> None:
        """`larger`: by path, how many bytes a body may have there when that is more than elsewhere."""
        self._routes = routes
        self._larger = larger or {}
        self._paths = {path for _, path in routes}
        self._below = tuple(path for path in self._paths if path.endswith("/"))
        self._on_bug = on_bug

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        if isinstance(answer, Stream):
            await _send_stream(answer, send)
        elif answer is not None:
            await _send_response(answer, send)

    async def _answer(self, scope: _Scope, receive: _Receive) -> Response | Stream | None:
        """The answer, or None when the client left before it had said everything."""
        path = scope["path"]
        handler = self._routes.get((scope["method"], path)) or self._handler_below(scope["method"], path)
        if handler is None:
            return (
                Response(405, b"this method is not known here\n")
                if path in self._paths
                else Response(404, b"there is nothing here\n")
            )
        most = self._larger.get(path, MAXIMUM_BODY)
        try:
            body = await _read_body(receive, most)
        except ClientLeftError:
            return None
        if body is None:
            return Response(413, f"a body has at most {most} bytes\n".encode())
        try:
            return await handler(_request(scope, body))
        except HandselError as error:
            # Code and what went wrong on one line, what to do on the next.
            said = f"{error.code} {error}\n{error.next_step}".rstrip()
            return Response(_status(error), said.encode())
        except Exception as error:  # noqa: BLE001  # the last line of defence: the client gets no traceback, the log gets all
            self._on_bug(error)
            return Response(500, b"HS-X001 the server made a mistake; its log has the details")

    def _handler_below(self, method: str, path: str) -> Handler | None:
        for prefix in self._below:
            if path.startswith(prefix):
                return self._routes.get((method, prefix)) or self._routes.get(("*", prefix))
        return None


def _status(error: HandselError) -> int:
    match error:
        case ProtocolError():
            return 400
        case NotAuthorised():
            return 401
        case Refused():
            return 403
        case _:
            return 503


def _request(scope: _Scope, body: bytes) -> Request:
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    peer = scope.get("extensions", {}).get("tls", {}).get("client_certificate")
    client = scope.get("client")
    return Request(
        scope["method"],
        scope["path"],
        query,
        headers,
        body,
        peer,
        scope.get("raw_path", b""),
        client[0] if client else "",
    )


async def _read_body(receive: _Receive, most: int) -> bytes | None:
    """The whole body, or None when it is larger than the limit. Raises `ClientLeftError` when it breaks off."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeftError
        body += message.get("body", b"")
        if len(body) > most:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _send_response(response: Response, send: _Send) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *((name.encode(), value.encode("latin-1")) for name, value in response.headers),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _send_stream(stream: Stream, send: _Send) -> None:
    headers = [(b"content-type", stream.content_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with contextlib.aclosing(stream.pieces) as pieces:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
