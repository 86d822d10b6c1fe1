"""TLS over TCP by asyncio: python tcp_server.py PORT CONTEXT. It answers each line with the same line."""

import asyncio
import sys

from handsel import tls


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main(port, name):
    server = await asyncio.start_server(echo, "127.0.0.1", port, ssl=tls.context(name).server())
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
