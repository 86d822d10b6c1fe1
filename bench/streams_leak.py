"""What 100,000 streams leave behind in the server's memory: opened, served and ended, 25 at a time.

Usage: streams_leak.py [STREAMS]. Prints the server's RSS before and after, and the objects that Python's collector sees.
The first tenth warms up: allocators keep what they have had once.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
from pathlib import Path

import grpc
import uvloop
from envoy.service.discovery.v3 import discovery_pb2 as pb
from fan_out import rss_kib

from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.names import Names
from handsel.xds.resources import SECRET, resource
from handsel.xds.snapshot import snapshot

_AT_ONCE = 25
_IDENTITY = "spiffe://bench.internal/ns/default/sa/web"
_METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"


async def serve(path: Path, streams: int) -> None:
    """The server, in this process; the client is another."""
    server = AdsServer(path, names=Names(_IDENTITY))
    await server.start()
    server.publish(snapshot([resource(SECRET, "default", b"x" * 1600)]))
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", str(path), f"{streams}", stdout=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    sizes = []
    while await client.stdout.readline():
        while server.secrets()[0].subscribers:
            await asyncio.sleep(0.01)
        gc.collect()
        sizes.append((rss_kib(), len(gc.get_objects())))
        print(f"{10 * len(sizes)} %: {sizes[-1][0]} KiB, {sizes[-1][1]} objects", flush=True)
    await client.wait()
    await server.stop()
    grown = sizes[-1][0] - sizes[0][0]
    print(f"after the first tenth: {grown:+} KiB, {grown * 1024 / (streams * 0.9):+.1f} bytes a stream")


async def call(path: str, streams: int) -> None:
    """Open, read, acknowledge, end; tell of each tenth."""
    async with grpc.aio.insecure_channel(f"unix:{path}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        method = channel.stream_stream(
            _METHOD, request_serializer=pb.DiscoveryRequest.SerializeToString,
            response_deserializer=pb.DiscoveryResponse.FromString,
        )  # fmt: skip

        async def one(number: int) -> None:
            stream = method()
            await stream.write(pb.DiscoveryRequest(resource_names=["default", _IDENTITY]))
            response = await stream.read()
            await stream.write(pb.DiscoveryRequest(
                resource_names=["default", _IDENTITY], version_info=response.version_info, response_nonce=response.nonce,
            ))  # fmt: skip
            if number % 2:
                stream.cancel()
            else:
                await stream.done_writing()
                await stream.read()

        for tenth in range(10):
            for begun in range(0, streams // 10, _AT_ONCE):
                await asyncio.gather(*(one(begun + number) for number in range(_AT_ONCE)))
            print(tenth, flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--client"]:
        uvloop.run(call(sys.argv[2], int(sys.argv[3])))
        return
    with tempfile.TemporaryDirectory(prefix="hs-") as place:
        uvloop.run(serve(Path(place) / "sds", int(sys.argv[1]) if sys.argv[1:] else 100_000))


if __name__ == "__main__":
    main()
