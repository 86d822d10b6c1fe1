"""Many subscribers in one lean process: HTTP/2 by hand, so that the load costs less than what it measures.

Usage: subscribers.py SOCKETS STREAMS PER_CONNECTION [TYPE NAME]. Without a type each stream asks by SDS for the secret
`default`, with one by ADS for the resource of that name. The sockets, apart by commas, take turns. Prints `ready` when
every stream has its first resource; with a type, then a line each time that all have a further one: the moment (of
the monotonic clock, in seconds) at which the last ACK was written. At the end of its standard input comes a JSON object
with what it has received.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Iterable
from itertools import cycle
from typing import Any

import uvloop
from envoy.service.discovery.v3 import discovery_pb2 as pb

SDS = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_AT_ONCE = 200


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _message(stream: int, message: pb.DeltaDiscoveryRequest) -> bytes:
    body = message.SerializeToString()
    return _frame(_DATA, 0, stream, struct.pack(">BI", 0, len(body)) + body)


class Wish:
    """What every stream asks for, and how many have it."""

    def __init__(self, type_url: str = SECRET, name: str = "default", *, by_ads: bool = False) -> None:
        self.type_url = type_url
        self.tells_moments = by_ads
        self.header_block = _headers(ADS if by_ads else SDS)
        self.subscribe = pb.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=[name])
        self.subscribe.node.id = "subscriber"
        self.first = asyncio.Semaphore(0)
        self.streams = 0
        self._acknowledged = 0

    def acknowledged(self, count: int) -> None:
        """So many ACKs more are written."""
        before, self._acknowledged = self._acknowledged, self._acknowledged + count
        if self.tells_moments and before // self.streams < self._acknowledged // self.streams > 1:
            print(time.monotonic(), flush=True)


def _headers(path: str) -> bytes:
    """Each field as a literal without indexing (RFC 7541 6.2.2)."""
    fields = (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    )  # fmt: skip
    texts = (text.encode() for field in fields for text in field)
    strings = [bytes([len(text)]) + text for text in texts]
    return b"".join(b"\0" + name + value for name, value in zip(strings[::2], strings[1::2], strict=True))


class Connection(asyncio.Protocol):
    """One connection with its streams. `received` has the number of resources by stream."""

    def __init__(self, streams: int, wish: Wish) -> None:
        self.received = {2 * number + 1: 0 for number in range(streams)}
        self.ended = 0
        self._waiting: dict[int, bytes] = {}
        self._wish = wish
        self._buffer = b""
        self._taken = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", _frame(_SETTINGS, 0, 0, b"")]
        for stream in self.received:
            opening += [_frame(_HEADERS, 4, stream, self._wish.header_block), _message(stream, self._wish.subscribe)]
        transport.write(b"".join(opening))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        out, at = [], 0
        while len(buffer) >= at + 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) < at + 9 + length:
                break
            kind, flags, stream = struct.unpack_from(">BBI", buffer, at + 3)
            out += self._answers(kind, flags, stream, buffer[at + 9 : at + 9 + length])
            at += 9 + length
        self._buffer = buffer[at:]
        if out:
            self._transport.write(b"".join(out))
        if self._taken:
            self._wish.acknowledged(self._taken)
            self._taken = 0

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended += len(self.received)

    def _answers(self, kind: int, flags: int, stream: int, body: bytes) -> Iterable[bytes]:
        if kind == _DATA:
            yield from self._take(stream, body)
        elif kind in (_SETTINGS, _PING) and not flags & 1:
            yield _frame(kind, 1, 0, body if kind == _PING else b"")
        elif kind in (_RESET, _GOAWAY) or (kind == _HEADERS and flags & 1):
            self.ended += 1

    def _take(self, stream: int, body: bytes) -> Iterable[bytes]:
        if body:
            more = struct.pack(">I", len(body))
            yield _frame(_WINDOW, 0, 0, more) + _frame(_WINDOW, 0, stream, more)
        data = self._waiting.pop(stream, b"") + body
        if len(data) < 5 or len(data) < 5 + int.from_bytes(data[1:5], "big"):
            self._waiting[stream] = data
            return
        nonce = pb.DeltaDiscoveryResponse.FromString(data[5:]).nonce
        yield _message(stream, pb.DeltaDiscoveryRequest(type_url=self._wish.type_url, response_nonce=nonce))
        self.received[stream] += 1
        self._taken += 1
        if self.received[stream] == 1:
            self._wish.first.release()


async def main(paths: list[str], streams: int, per_connection: int, asked: list[str]) -> None:
    loop, wish = asyncio.get_running_loop(), Wish(*asked, by_ads=bool(asked))
    wish.streams = streams
    connections: list[Connection] = []
    opening = asyncio.Semaphore(_AT_ONCE)

    async def connect(path: str, count: int) -> None:
        async with opening:
            _, connection = await loop.create_unix_connection(lambda: Connection(count, wish), path)
            connections.append(connection)

    counts = [min(per_connection, streams - begun) for begun in range(0, streams, per_connection)]
    await asyncio.gather(*map(connect, cycle(paths), counts))
    for _ in range(streams):
        await wish.first.acquire()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    received = [count for connection in connections for count in connection.received.values()]
    print(json.dumps({
        "fewest": min(received), "most": max(received), "ended": sum(each.ended for each in connections),
    }))  # fmt: skip


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:6]))
