"""A real Envoy on the other end of the stream."""

from __future__ import annotations

import socket

from handsel.envoy.adapters import admin, binary, process
from handsel.envoy.bootstrap import Sockets, bootstrap
from handsel.mesh.render import protos
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.resources import CLUSTER, LISTENER, Resource, resource
from handsel.xds.snapshot import snapshot
from tests.support import until

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
