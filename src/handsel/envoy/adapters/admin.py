"""Envoy's admin door on its Unix socket: HTTP/1.1, a request a connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

from handsel.errors import ProtocolError

_MAXIMUM_ANSWER = 64 << 20
_PIECE = 1 << 20


async def get(socket: Path, path: str, *, most: int = _MAXIMUM_ANSWER) -> bytes:
    """The body of a GET. Raises `OSError` when nobody answers, `ProtocolError` when the answer is not 200.

    It is a `ProtocolError` too when the answer has more than `most` bytes.
    """
    return await _call(socket, "GET", path, most)


async def post(socket: Path, path: str) -> bytes:
    """The same with a POST, which every change needs."""
    return await _call(socket, "POST", path)


async def _call(socket: Path, method: str, path: str, most: int = _MAXIMUM_ANSWER) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_MAXIMUM_ANSWER)
    try:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await writer.drain()
        answer = bytearray()
        while piece := await reader.read(_PIECE):
            answer += piece
            if len(answer) > most:
                raise ProtocolError(f"Envoy's admin door answered more than {most} bytes to {path}")
    finally:
        writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status + b" ":
        raise ProtocolError(f"Envoy's admin door answered {status.decode('latin-1')!r} to {path}")
    if b"transfer-encoding: chunked" in head.lower():
        body = _unchunk(body)
    return body


def _unchunk(body: bytes) -> bytes:
    whole = bytearray()
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        whole += rest[:length]
        body = rest[length + 2 :]
    return bytes(whole)
