"""HTTPS by aiohttp: python http_client_aiohttp.py PORT CONTEXT"""

import asyncio
import sys

import aiohttp

from handsel import tls


async def main(port, name):
    connector = aiohttp.TCPConnector(ssl=tls.context(name).client())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://localhost:{port}/") as response,
    ):
        print(await response.text(), end="")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
