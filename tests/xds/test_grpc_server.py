"""The ADS server on a real socket, spoken to by a real gRPC client."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2 as pb
from google.rpc import status_pb2

from handsel.errors import StateError
from handsel.xds.adapters.grpc_server import AdsServer
from tests.support import until
from tests.xds.conversation import TYPES, version, world

CLUSTER, LISTENER = TYPES["cluster"], TYPES["listener"]
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class Client:
    """One delta stream."""

    def __init__(self, call) -> None:
        self._call = call

    async def ask(self, kind: str, **fields) -> None:
        await self._call.write(pb.DeltaDiscoveryRequest(type_url=TYPES[kind], **fields))

    async def read(self) -> pb.DeltaDiscoveryResponse:
        return await asyncio.wait_for(self._call.read(), 10)

    async def leave(self) -> None:
        await self._call.done_writing()
        assert await self.read() is grpc.aio.EOF


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
        call = channel.stream_stream(
            METHOD,
            request_serializer=pb.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=pb.DeltaDiscoveryResponse.FromString,
        )()
        yield Client(call)
        call.cancel()


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[AdsServer]:
    server = AdsServer(path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_a_client_gets_the_snapshot_and_every_newer_one(short_folder):
    async with serving(short_folder / "ads") as server, connected(server.path) as client:
        server.publish(world("cluster a1"))
        await client.ask("cluster")
        first = await client.read()
        assert [(each.name, each.resource.value, each.version) for each in first.resources] == [
            ("a", b"a1", version("cluster", "a1"))
        ]
        assert first.resources[0].resource.type_url == first.type_url == CLUSTER
        await client.ask("cluster", response_nonce=first.nonce)
        server.publish(world("cluster a2 b1"))
        second = await client.read()
        assert sorted(each.resource.value for each in second.resources) == [b"a2", b"b1"]
        await client.ask("cluster", response_nonce=second.nonce)
        server.publish(world("cluster b1"))
        assert list((await client.read()).removed_resources) == ["a"]


async def test_the_server_knows_what_a_client_has_taken(short_folder):
    async with serving(short_folder / "ads") as server:
        server.publish(world("cluster a1", "listener x1"))
        assert not server.connected
        async with connected(server.path) as client:
            await client.ask("cluster")
            response = await client.read()
            assert server.connected
            assert not server.has(CLUSTER, "a", version("cluster", "a1"))
            await client.ask("cluster", response_nonce=response.nonce)
            await client.ask("listener")
            await client.ask("listener", response_nonce=(await client.read()).nonce)
            await until(lambda: server.in_sync)
            assert server.has(CLUSTER, "a", version("cluster", "a1"))
            await client.leave()
            await until(lambda: not server.connected)
        assert not server.in_sync
        assert not server.has(CLUSTER, "a", version("cluster", "a1"))


async def test_a_refusal_is_kept_until_the_client_is_in_sync_again(short_folder):
    async with serving(short_folder / "ads") as server, connected(server.path) as client:
        server.publish(world("listener x1"))
        await client.ask("listener")
        bad = status_pb2.Status(code=13, message="x: cannot bind")
        await client.ask("listener", response_nonce=(await client.read()).nonce, error_detail=bad)
        await until(lambda: bool(server.rejections))
        assert [(each.names, each.reason) for each in server.rejections] == [(("x",), "x: cannot bind")]
        assert not server.in_sync
        server.publish(world("listener x2"))
        await client.ask("listener", response_nonce=(await client.read()).nonce)
        await until(lambda: server.in_sync)
        assert server.rejections == []


async def test_a_client_that_reconnects_gets_only_what_it_lacks(short_folder):
    async with serving(short_folder / "ads") as server:
        server.publish(world("cluster a1 b1"))
        async with connected(server.path) as client:
            has = {"a": version("cluster", "a1"), "c": version("cluster", "c1")}
            await client.ask("cluster", initial_resource_versions=has)
            response = await client.read()
            assert [each.name for each in response.resources] == ["b"]
            assert list(response.removed_resources) == ["c"]


async def test_two_clients_are_served_side_by_side(short_folder):
    async with (
        serving(short_folder / "ads") as server,
        connected(server.path) as one,
        connected(server.path) as other,
    ):
        for client in (one, other):
            await client.ask("cluster")
        await until(lambda: len(server._door.sessions) == 2)
        server.publish(world("cluster a1"))
        answers = await asyncio.gather(one.read(), other.read())
        assert [len(answer.resources) for answer in answers] == [1, 1]


async def test_every_change_is_told(short_folder):
    changes: list[bool] = []
    server = AdsServer(short_folder / "ads", on_change=lambda: changes.append(server.connected))
    await server.start()
    server.publish(world("cluster a1"))
    async with connected(server.path) as client:
        await client.ask("cluster")
        await client.read()
        await until(lambda: True in changes)
        await client.leave()
        await until(lambda: changes[-1] is False)
    await server.stop()


async def test_the_socket_is_for_its_owner_and_goes_with_the_server(short_folder):
    path = short_folder / "ads"
    path.write_bytes(b"left by a server that was killed")
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


async def test_stopping_ends_a_stream_that_is_open(short_folder):
    server = AdsServer(short_folder / "ads")
    await server.start()
    async with connected(server.path) as client:
        await client.ask("cluster")
        await until(lambda: server.connected)
        await asyncio.wait_for(server.stop(), 5)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            assert await client.read() is not grpc.aio.EOF
    assert not server.connected


async def test_a_socket_that_cannot_be_made_is_refused_in_order(short_folder):
    with pytest.raises(StateError, match="cannot be made"):
        await AdsServer(short_folder / "not there" / "ads").start()
