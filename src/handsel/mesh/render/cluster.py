"""Clusters: the program behind the mesh port, and each callee with the TLS towards it."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Behind, Inbound, Upstream
from handsel.mesh.render import policy, tls
from handsel.mesh.render.http import HTTP2_OPTIONS, MAXIMUM_CONNECTION_AGE
from handsel.mesh.render.listener import BUFFER_BYTES, TCP_KEEPALIVE, drain_mark
from handsel.mesh.render.words import application, seconds
from handsel.model.graph import is_address
from handsel.model.traffic import NOTHING_SAID, Pool, TrafficPolicy

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_IS_PLAIN = {"plain": True}
_PLAIN = {
    "name": "plain",
    "match": _IS_PLAIN,
    "transportSocket": {
        "name": "envoy.transport_sockets.raw_buffer",
        "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
    },
}


def inbound(port: Inbound) -> dict[str, Any]:
    """The program itself, plain, on loopback; or what an adapter stands before."""
    if port.behind:
        return _behind(port, port.behind)
    return {
        "name": application(port.name),
        "type": "STATIC",
        "connectTimeout": "1s",
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "loadAssignment": endpoints(application(port.name), (("127.0.0.1", port.application_port),)),
        "circuitBreakers": policy.limits(),
        "typedExtensionProtocolOptions": {_OPTIONS: _http_options(NOTHING_SAID, http2=port.application_http2)},
    }


def _behind(port: Inbound, behind: Behind) -> dict[str, Any]:
    said = TrafficPolicy(pool=Pool(requests_per_connection=1 if behind.http10 else None))
    name = application(port.name)
    made = {
        "name": name,
        "type": "STATIC" if is_address(behind.host) else "STRICT_DNS",
        "connectTimeout": "5s",
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "loadAssignment": endpoints(name, ((behind.host, behind.port),)),
        "circuitBreakers": policy.limits(),
        "typedExtensionProtocolOptions": {_OPTIONS: _http_options(said, http2=port.application_http2)},
    }
    return {**made, "transportSocket": tls.upstream(behind.tls)} if behind.tls else made


def upstream(callee: Upstream) -> dict[str, Any]:
    """A callee. Its addresses come by EDS when they may change."""
    pool = callee.policy.pool or Pool()
    cluster: dict[str, Any] = {
        "name": callee.name,
        "connectTimeout": seconds(callee.connect_timeout),
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        **policy.policy(callee.policy),
        "upstreamConnectionOptions": {"tcpKeepalive": policy.keep_alive(pool.keep_alive, TCP_KEEPALIVE)},
        "typedExtensionProtocolOptions": {_OPTIONS: _http_options(callee.policy, http2=callee.http2)},
    }
    if callee.by_eds:
        cluster["type"] = "EDS"
        cluster["edsClusterConfig"] = {"edsConfig": {"ads": {}, "resourceApiVersion": "V3"}}
    else:
        by_name = "LOGICAL_DNS" if callee.one_address else "STRICT_DNS"
        cluster["type"] = by_name if callee.dns else "STATIC"
        cluster["loadAssignment"] = endpoints(callee.name, callee.endpoints, callee.weights)
    if callee.tls is not None:
        cluster["transportSocket"] = tls.upstream(callee.tls)
        if callee.plain:
            cluster["transportSocketMatches"] = [_PLAIN]
    cluster |= drain_mark(callee.revocation)
    return cluster


def endpoints(
    name: str,
    addresses: tuple[tuple[str, int], ...],
    weights: tuple[int, ...] = (),
    plain: tuple[tuple[str, int], ...] = (),
) -> dict[str, Any]:
    """The addresses of a cluster (a ClusterLoadAssignment). `weights`: one an address, none when all are alike.

    `plain`: those that take no TLS.
    """
    ends = [
        _endpoint(*address, weight=weight, plain=address in plain)
        for address, weight in zip(addresses, weights or (0,) * len(addresses), strict=True)
    ]
    return {"clusterName": name, "endpoints": [{"lbEndpoints": ends}]}


def _endpoint(address: str, port: int, *, weight: int, plain: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"endpoint": {"address": {"socketAddress": {"address": address, "portValue": port}}}}
    if weight:
        made["loadBalancingWeight"] = weight
    if plain:
        made["metadata"] = {"filterMetadata": {"envoy.transport_socket_match": _IS_PLAIN}}
    return made


def _http_options(said: TrafficPolicy, *, http2: bool) -> dict[str, Any]:
    pool = said.pool or Pool()
    second = {"http2ProtocolOptions": policy.http2(pool, HTTP2_OPTIONS)}
    common: dict[str, Any] = {
        # Below the 75 s after which web servers usually hang up on an idle connection.
        "idleTimeout": seconds(pool.idle_timeout) if pool.idle_timeout else "60s",
        "maxConnectionDuration": seconds(pool.maximum_age) if pool.maximum_age else MAXIMUM_CONNECTION_AGE,
    }
    if pool.requests_per_connection:
        common["maxRequestsPerConnection"] = pool.requests_per_connection
    made: dict[str, Any] = {"@type": f"type.googleapis.com/{_OPTIONS}", "commonHttpProtocolOptions": common}
    if pool.use_client_protocol:
        made["useDownstreamProtocolConfig"] = {"httpProtocolOptions": {}, **second}
    else:
        made["explicitHttpConfig"] = second if http2 else {"httpProtocolOptions": {}}
    return {**made, **policy.error_codes(said.outliers)}
