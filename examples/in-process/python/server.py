"""Says hello to the name in the client's certificate: python server.py PORT FOLDER [--one-way]"""

import asyncio
import sys

from handsel import tls


async def answer(reader, writer):
    try:
        async with asyncio.timeout(10):
            await reader.readline()
            names = (writer.get_extra_info("peercert") or {}).get("subjectAltName", ())
            name = next((value for kind, value in names if kind == "DNS"), "nobody")
            writer.write(f"hello {name}\n".encode())
            await writer.drain()
    except (OSError, ValueError) as error:
        print(f"refused: {error}", file=sys.stderr)
    finally:
        writer.close()


async def main(port, folder, *, one_way):
    context = tls.context("one-way-server" if one_way else "two-way", f"{folder}/handsel.yaml")
    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context.server(), ssl_handshake_timeout=10)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], one_way="--one-way" in sys.argv))
