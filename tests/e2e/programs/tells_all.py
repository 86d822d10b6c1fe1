"""`tells_all.py NAME [STATUS]`: an HTTP service that tells what it got, and always answers with STATUS if there is one.

`x-fail: 503` answers with this status, `x-fail-first: 2` with 503 to so many requests of the same `x-id`, `x-wait: 0.5`
waits. `/seen` tells how many requests each path had. WebSocket: short messages are echoed.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import hashlib
import json
import os
import signal
import sys

NAME, ALWAYS = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
tries: collections.Counter[str] = collections.Counter()
seen: collections.Counter[str] = collections.Counter()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            first, *lines = head.strip().split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            if headers.get("upgrade", "").lower() == "websocket":
                await _echo(reader, writer, headers)
                break
            await asyncio.sleep(float(headers.get("x-wait", "0")))
            body = json.dumps(_told(method, path, headers)).encode()
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nx-served-by: %s\r\n\r\n%s" % (
                _status(headers), len(body), NAME.encode(), b"" if method == "HEAD" else body))  # fmt: skip
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _told(method: str, path: str, headers: dict[str, str]) -> dict[str, object]:
    if path == "/seen":
        return {"name": NAME, "seen": dict(seen)}
    seen[path] += 1
    return {
        "name": NAME,
        "method": method,
        "path": path,
        "headers": headers,
        "count": tries[headers.get("x-id", "")] + 1,
    }


def _status(headers: dict[str, str]) -> int:
    tries[headers.get("x-id", "")] += 1
    if tries[headers.get("x-id", "")] <= int(headers.get("x-fail-first", "0")):
        return 503
    return int(ALWAYS or headers.get("x-fail", "200"))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
    """RFC 6455: one short message of the client, masked, comes back without a mask, again and again."""
    accept = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    writer.write(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: %s\r\n\r\n"
                 % base64.b64encode(accept))  # fmt: skip
    while True:
        kind, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        data = await reader.readexactly(length & 0x7F)
        writer.write(bytes((kind, length & 0x7F)) + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await stopping.wait()
    server.close()


asyncio.run(main())
