"""The program behind every side: answers any GET with 64 bytes, keeps the connection, knows no TLS."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

BODY = b"x" * 64
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
END = b"\r\n\r\n"


class Backend(asyncio.Protocol):
    """One connection. Requests have no body, so each ends with an empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Without it an answer may wait for an acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(END)
        self._transport.write(ANSWER * len(whole))


async def main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(Backend, "127.0.0.1", int(os.environ["PORT"]))
    await stopping.wait()
    server.close()


asyncio.run(main())
