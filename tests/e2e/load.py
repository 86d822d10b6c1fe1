"""An open-loop client: requests leave at their time, whatever happened to the ones before."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

_ANSWER = b"HTTP/1.1 200"
_TIMEOUT_SECONDS = 5.0


@dataclass
class Load:
    """Requests at a fixed rate over `connections` kept-alive connections and, every tenth, a new one."""

    port: int
    rate: float = 100.0
    connections: int = 4
    sent: int = 0
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        kept = [_Connection(self.port) for _ in range(self.connections)]
        under_way: set[asyncio.Task[None]] = set()
        begun, number = time.monotonic(), 0
        while not self._stopping.is_set():
            connection = _Connection(self.port) if number % 10 == 0 else kept[number % len(kept)]
            task = asyncio.create_task(self._one(connection, keep=connection in kept))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / self.rate - time.monotonic()))
        await asyncio.gather(*under_way)
        for connection in kept:
            connection.close()

    async def _one(self, connection: _Connection, *, keep: bool) -> None:
        self.sent += 1
        try:
            await asyncio.wait_for(connection.request(), _TIMEOUT_SECONDS)
        except Exception as error:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
        finally:
            if not keep:
                connection.close()


class _Connection:
    """One HTTP/1.1 connection, one request at a time; opened again when a failure closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None

    async def request(self) -> None:
        async with self._lock:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                self._writer.write(b"GET /load HTTP/1.1\r\nHost: load\r\n\r\n")
                head = await self._reader.readuntil(b"\r\n\r\n")
                if not head.startswith(_ANSWER):
                    raise ConnectionError(head.split(b"\r\n")[0].decode())
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await self._reader.readexactly(length)
                if b"connection: close" in head.lower():
                    self.close()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
