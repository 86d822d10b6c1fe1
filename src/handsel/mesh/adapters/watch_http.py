"""The watch: one long answer a host, frames as they are published, a ping every 15 seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

from handsel.link.messages import Frame, Index, ping

_PING_SECONDS = 15.0


class Watches:
    """Every open watch of this server. `notify` after each commit of publications, `end` first when it stops."""

    def __init__(self, since: Callable[[str, int], Awaitable[list[Frame]]]) -> None:
        self._since = since
        self._newer = asyncio.Event()
        self._ended = False
        self._closed: set[str] = set()

    def notify(self) -> None:
        """Something was published."""
        self._newer.set()
        self._newer = asyncio.Event()

    def end(self) -> None:
        """End every watch, so that agents turn to another server at once."""
        self._ended = True
        self.notify()

    def close(self, host: str) -> None:
        """End the watches of one host, which may not have another."""
        self._closed.add(host)
        self.notify()

    async def frames(self, host: str, sequence: int) -> AsyncGenerator[bytes]:
        """The frames of a host after `sequence`, for as long as both sides live.

        A host that goes on is first told what it should have: this server may have been set back to an older state.
        """
        self._closed.discard(host)
        yield ping(datetime.now(UTC)).encode()
        if sequence:
            believed = [frame for frame in await self._since(host, 0) if frame.sequence <= sequence]
            yield Frame(0, Index.KIND, body=Index.of(believed).encode()).encode()
        while not self._ended and host not in self._closed:
            newer = self._newer
            for frame in await self._since(host, sequence):
                yield frame.encode()
                sequence = frame.sequence
            if newer.is_set():
                continue
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await newer.wait()
            except TimeoutError:
                yield ping(datetime.now(UTC)).encode()
