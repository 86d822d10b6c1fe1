"""The socket itself: its mode, its owner, other services on it, a path that is taken away, many and slow clients."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2 as pb

from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.resources import SECRET, resource
from handsel.xds.snapshot import snapshot
from tests.support import NOBODY, until
from tests.xds.conversation import thing
from tests.xds.sds_client import connected


@contextlib.asynccontextmanager
async def serving(path: Path, **options) -> AsyncIterator[AdsServer]:
    server = AdsServer(path, **options)
    server.publish(snapshot([thing("secret", "s1")]))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_the_socket_has_the_mode_that_is_wanted(short_folder):
    async with serving(short_folder / "ads", mode=0o660) as server:
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o660
        assert [each.name for each in short_folder.iterdir()] == ["ads"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_the_socket_has_the_owner_that_is_wanted(short_folder):
    async with serving(short_folder / "ads", owner=(NOBODY, NOBODY)) as server:
        found = server.path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, NOBODY, 0o600)


async def test_another_service_is_had_on_the_same_socket(short_folder):
    async def echo(data: bytes, _context) -> bytes:
        return data

    handler = grpc.method_handlers_generic_handler("test.Echo", {"Say": grpc.unary_unary_rpc_method_handler(echo)})
    async with serving(short_folder / "ads", services=[handler]) as server, connected(server.path) as client:
        assert await client._channel.unary_unary("/test.Echo/Say")(b"hello", timeout=10) == b"hello"
        assert len((await client.fetch("s")).resources) == 1


@pytest.mark.parametrize("taken_by", ["nobody", "another"])
async def test_a_socket_that_is_gone_is_made_anew_and_open_streams_go_on(short_folder, taken_by):
    async with serving(short_folder / "ads") as server, connected(server.path) as before:
        assert not await server.heal()
        old = before.sotw()
        await old.ask("s")
        await old.read()
        await old.ack("s")
        server.path.unlink()
        if taken_by == "another":
            server.path.write_bytes(b"")
        assert await server.heal()
        assert stat.S_ISSOCK(server.path.stat().st_mode)
        assert not await server.heal()
        async with connected(server.path) as after:
            new = after.sotw()
            await new.ask("s")
            await new.read()
            await new.ack("s")
            server.publish(snapshot([thing("secret", "s2")]))
            assert await old.bodies() == await new.bodies() == [b"s2"]
        # The old one goes when its last stream has gone.
        assert len(server._retired) == 1
        old.call.cancel()
        await until(lambda: not server._retired)
        assert server.path.exists()
    assert not server.path.exists()


async def test_what_lies_at_the_path_of_a_server_that_lost_it_is_left_alone(short_folder):
    async with serving(short_folder / "ads") as server:
        server.path.unlink()
        server.path.write_bytes(b"somebody else's")
    assert server.path.read_bytes() == b"somebody else's"


async def test_a_thousand_clients_at_once_are_all_served(short_folder):
    async with serving(short_folder / "ads") as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.path)) for _ in range(10)]
        streams = [client.sotw() for client in clients for _ in range(100)]

        async def first(stream) -> bytes:
            await stream.ask("s")
            return (await stream.read()).resources[0].value

        assert await asyncio.gather(*map(first, streams)) == [b"s1"] * 1000
        server.publish(snapshot([thing("secret", "s2")]))
        await asyncio.gather(*(stream.ack("s") for stream in streams))
        values = [each.resources[0].value for each in await asyncio.gather(*(stream.read() for stream in streams))]
        assert values == [b"s2"] * 1000


async def test_a_client_that_never_reads_holds_up_nobody_and_costs_one_response(short_folder):
    large = [resource(SECRET, "s", bytes([number]) * (1 << 20)) for number in range(40)]
    async with serving(short_folder / "ads") as server:
        server.publish(snapshot([large[0]]))
        deaf = _deaf(server.path)
        await until(lambda: len(server._door.sessions) == 1)
        async with connected(server.path) as client:
            stream = client.delta()
            await stream.ask("s")
            await stream.read()
            before = _resident_mb()
            for each in large[1:]:
                await stream.ack()
                server.publish(snapshot([each]))
                assert (await stream.read()).resources[0].resource.value == each.body
            assert _resident_mb() - before < 20
        deaf.close()


def _deaf(path: Path) -> socket.socket:
    """A connection that subscribes by hand (HTTP/2, RFC 9113) and then takes nothing off its socket."""

    def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
        return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body

    fields = [
        ":method",
        "POST",
        ":scheme",
        "http",
        ":path",
        "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
    ]
    fields += [":authority", "localhost", "content-type", "application/grpc", "te", "trailers"]
    texts = [bytes([len(each)]) + each.encode() for each in fields]
    headers = b"".join(b"\0" + name + value for name, value in zip(texts[::2], texts[1::2], strict=True))
    body = pb.DeltaDiscoveryRequest(type_url=SECRET, resource_names_subscribe=["s"]).SerializeToString()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    connection.sendall(frame(1, 4, 1, headers) + frame(0, 0, 1, struct.pack(">BI", 0, len(body)) + body))
    return connection


async def test_many_streams_leave_nothing_behind_in_python(short_folder):
    async with serving(short_folder / "ads") as server, connected(server.path) as client:

        async def some(count: int) -> None:
            for _ in range(count // 50):
                streams = [client.sotw() if number % 2 else client.delta() for number in range(50)]
                for number, stream in enumerate(streams):
                    await stream.ask("s")
                    await stream.read()
                    if number % 3:  # some are ended in order, others torn
                        stream.call.cancel()
                    else:
                        await stream.call.done_writing()
                await until(lambda: not server._door.sessions)
                del streams, stream

        await some(500)
        gc.collect()
        objects = len(gc.get_objects())
        await some(3000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 500


def test_the_memory_of_a_server_is_after_many_streams_what_it_was_before():
    """In a process of its own: what other tests have left behind here says nothing about streams."""
    bench = Path(__file__).parents[2] / "bench" / "streams_leak.py"
    done = subprocess.run([sys.executable, bench, "3000"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    sizes = [int(found) for found in re.findall(r"^\d+ %: (\d+) KiB", done.stdout, re.MULTILINE)]
    assert len(sizes) == 10
    assert sizes[-1] < sizes[0] * 1.1


def _resident_mb() -> float:
    found = re.search(r"^VmRSS:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
