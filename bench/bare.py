"""The reference for every push: a `grpc.aio` server that knows nothing of what it writes to its streams.

After each message it waits for one of the client, as an ACK comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc

from handsel.xds.adapters.listener import Listener


class Bare:
    """Writes `push`'s newest bytes to every stream of one method. `on_ack` is called after each answer to a message."""

    def __init__(self, path: Path, service: str, method: str, on_ack: Callable[[], None]) -> None:
        handler = {method: grpc.stream_stream_rpc_method_handler(self._serve)}
        self._listener = Listener(
            path, [grpc.method_handlers_generic_handler(service, handler)], mode=0o600, owner=None
        )
        self._on_ack = on_ack
        self._newest, self._newer = b"", asyncio.Event()

    async def start(self) -> None:
        await self._listener.start()

    def push(self, message: bytes) -> None:
        self._newest = message
        self._newer.set()
        self._newer = asyncio.Event()

    async def _serve(self, _requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.read()
        while True:
            newer = self._newer
            await context.write(self._newest)
            await context.read()
            self._on_ack()
            await newer.wait()
