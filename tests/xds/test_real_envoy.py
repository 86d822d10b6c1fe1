"""A real Envoy on the other end of the stream."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from handsel.envoy.adapters import admin, binary, process
from handsel.envoy.bootstrap import Sockets, bootstrap
from handsel.mesh.render import protos
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.endpoints import one_endpoint
from handsel.xds.resources import CLUSTER, LISTENER, Resource, resource
from handsel.xds.snapshot import snapshot
from tests.support import until
from tests.xds.foreign import eventually

_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
A = resource(CLUSTER, "a", protos.serialise(CLUSTER, {"name": "a", "type": "STATIC", "connectTimeout": "1s"}))


def _listener(name: str, port: int) -> Resource:
    proxy = {"name": "proxy", "typedConfig": {"@type": _PROXY, "statPrefix": name, "cluster": "a"}}
    content = {
        "name": name,
        "address": {"socketAddress": {"address": "127.0.0.1", "portValue": port}},
        "enableReusePort": False,
        "filterChains": [{"filters": [proxy]}],
    }
    return resource(LISTENER, name, protos.serialise(LISTENER, content))


def _port(*, taken: bool) -> tuple[int, socket.socket]:
    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    if taken:
        probe.listen()
    port = probe.getsockname()[1]
    if not taken:
        probe.close()
    return port, probe


async def test_one_port_that_is_taken_holds_up_nothing_else(short_folder):
    sockets = Sockets(short_folder / "ads", short_folder / "adm")
    ads = AdsServer(sockets.ads)
    await ads.start()
    (busy, holder), (other, _), (moved, _) = _port(taken=True), _port(taken=False), _port(taken=False)
    ads.publish(snapshot([A, _listener("inbound", busy), _listener("proxy", other)]))
    envoy = process.start(
        binary.find(None),
        bootstrap("web", sockets),
        config=short_folder / "config",
        log=short_folder / "log",
        record=short_folder / "record",
    )
    try:
        await until(lambda: bool(ads.rejections))
        await until(lambda: ads.has(LISTENER, "proxy", _listener("proxy", other).version))
        assert [each.names for each in ads.rejections] == [("inbound",)]
        assert "inbound: cannot bind" in ads.rejections[0].reason
        assert not ads.in_sync
        ads.publish(snapshot([A, _listener("inbound", moved), _listener("proxy", other)]))
        await until(lambda: ads.in_sync)
        listening = (await admin.get(sockets.admin, "/listeners")).decode().split()
        assert sorted(listening) == sorted([f"inbound::127.0.0.1:{moved}", f"proxy::127.0.0.1:{other}"])
    finally:
        await process.end(envoy)
        await ads.stop()
        holder.close()


def _by_eds(name: str, *, timeout: str = "1s") -> Resource:
    source = {"ads": {}, "resourceApiVersion": "V3"}
    content = {"name": name, "type": "EDS", "connectTimeout": timeout, "edsClusterConfig": {"edsConfig": source}}
    return resource(CLUSTER, name, protos.serialise(CLUSTER, content))


@pytest.mark.parametrize("api_type", ["GRPC", "DELTA_GRPC"])
async def test_clusters_and_listeners_come_change_and_go_by_either_variant(short_folder, api_type):
    sockets = Sockets(short_folder / "ads", short_folder / "adm")
    ads = AdsServer(sockets.ads)
    await ads.start()
    configuration = bootstrap("web", sockets)
    configuration["dynamic_resources"]["ads_config"]["api_type"] = api_type
    (first, _), (second, _) = _port(taken=False), _port(taken=False)
    endpoints = one_endpoint("a", "127.0.0.1", 9)
    worlds = [
        [_by_eds("a"), endpoints, _listener("one", first)],
        [_by_eds("a", timeout="2s"), endpoints, _listener("one", first)],  # the cluster warms again
        [_by_eds("a"), endpoints, _by_eds("b"), one_endpoint("b", "127.0.0.1", 9), _listener("one", first),
         _listener("two", second)],
        [_by_eds("a"), endpoints, _listener("two", second)],
    ]  # fmt: skip
    envoy = process.start(
        binary.find(None),
        configuration,
        config=short_folder / "config",
        log=short_folder / "log",
        record=short_folder / "record",
    )
    try:
        for world in worlds:
            ads.publish(snapshot(world))
            await until(lambda: ads.in_sync)
            await eventually(lambda world=world: _has(sockets.admin, world))
        assert ads.rejections == []
    finally:
        await process.end(envoy)
        await ads.stop()


async def _has(socket: Path, world: list[Resource]) -> bool:
    """Whether Envoy has these clusters and listeners, no others, and none that warms."""
    active = await _names(socket, "dynamic_active_clusters")
    warming = await _names(socket, "dynamic_warming_clusters")
    listening = {line.split("::")[0] for line in (await admin.get(socket, "/listeners")).decode().split()}
    wanted = [{each.name for each in world if each.type_url == kind} for kind in (CLUSTER, LISTENER)]
    return [active, listening, warming] == [*wanted, set()]


async def _names(socket: Path, part: str) -> set[str]:
    dump = json.loads(await admin.get(socket, f"/config_dump?resource={part}"))
    return {each["cluster"]["name"] for each in dump.get("configs", [])}
