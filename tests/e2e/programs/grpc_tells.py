"""`grpc_tells.py NAME`: a gRPC service `/test.Tells/*`, without TLS, that answers with its name and the call's number.

In the metadata `fail-first: N`: so many calls of the same `id` end with UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
import collections
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

calls: collections.Counter[str] = collections.Counter()


async def say(_request: bytes, context: Any) -> bytes:
    metadata = dict(context.invocation_metadata())
    name = metadata.get("id", "")
    calls[name] += 1
    if calls[name] <= int(metadata.get("fail-first", "0")):
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
    return f"{sys.argv[1]} {calls[name]}".encode()


async def echo(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    async for each in requests:
        yield each


class Handler(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        if details.method == "/test.Tells/Echo":
            return grpc.stream_stream_rpc_method_handler(echo)
        return grpc.unary_unary_rpc_method_handler(say)


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    await stopping.wait()
    await server.stop(None)


asyncio.run(main())
