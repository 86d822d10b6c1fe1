"""Applications behind a load balancer: each tells what it got, counts bodies without keeping them, knows WebSockets.

`/slow` never answers, `/healthz` answers as it was told, everything else as JSON: who, path, headers, bytes of the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any


class Worker:
    """A server on a thread of its own. `stop` closes its port at once."""

    def __init__(self, name: str, tls: tuple[Path, Path] | None = None) -> None:
        self.name, self.healthy, self.finished = name, True, 0
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server: asyncio.Server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers: dict[str, str] = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("upgrade") == "websocket":
            await self._echo(reader, writer)
            return False
        size = await _body(reader, headers)
        self.finished += path != "/healthz"
        if path.startswith("/slow"):
            await asyncio.sleep(60)
        status = "200 OK" if self.healthy or path != "/healthz" else "503 Service Unavailable"
        body = json.dumps({"worker": self.name, "path": path, "headers": headers, "bytes": size}).encode()
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As after the handshake of RFC 6455; what is said then is said back as it is."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> int:
    if headers.get("transfer-encoding", "") == "chunked":
        size = 0
        while length := await _length(reader):
            size += await _skip(reader, length)
            await reader.readline()
        await reader.readline()
        return size
    return await _skip(reader, int(headers.get("content-length", "0")))


async def _skip(reader: asyncio.StreamReader, length: int) -> int:
    left = length
    while left:
        data = await reader.read(min(left, 1 << 18))
        if not data:
            raise ConnectionError
        left -= len(data)
    return length


async def _length(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    if not line:
        raise ConnectionError
    return int(line, 16)
