"""A plain TCP service that speaks first, as SMTP and MySQL do, and then echoes. Notes each connection in a file."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

SEEN = Path(os.environ.get("SEEN", "seen"))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with SEEN.open("a") as file:
        file.write("connected\n")
    try:
        writer.write(b"220 secret banner\r\n")
        while piece := await reader.read(1024):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]))
    await stopping.wait()
    server.close()


asyncio.run(main())
