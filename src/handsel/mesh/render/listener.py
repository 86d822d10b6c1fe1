"""Listeners: the mesh port, one loopback port a callee, and the proxy port."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Inbound, Layer, Outbound, Weighted, WorkloadPlan
from handsel.mesh.render import http, log, rbac, tls, words

BUFFER_BYTES = 256 << 10
TCP_KEEPALIVE = {"keepaliveTime": 60, "keepaliveInterval": 10, "keepaliveProbes": 3}
# The same for accepted connections, as Linux's socket options (SO_KEEPALIVE, TCP_KEEPIDLE, _INTVL, _CNT): they are
# inherited from the listening socket, and the field `tcp_keepalive` is newer than the protobuf package.
_ACCEPTED_KEEPALIVE = [
    {"level": level, "name": name, "intValue": value, "state": "STATE_PREBIND"}
    for level, name, value in ((1, 9, 1), (6, 4, 60), (6, 5, 10), (6, 6, 3))
]


def inbound(plan: WorkloadPlan, port: Inbound) -> dict[str, Any]:
    """A mesh port: mutual TLS from exactly the allowed callers, then the program."""
    chain = {
        # A client that opens a connection and stays silent must not hold it for ever.
        "transportSocketConnectTimeout": "5s",
        "transportSocket": tls.downstream(port.tls),
        "filters": _inbound_filters(port, plan.access_log),
        **drain_mark(port.revocation),
    }
    return {
        **_listener(port.name, port.address, port.mesh_port, chain),
        "accessLog": log.inbound_connections(plan.access_log),
    }


def outbound(plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    """The loopback port at which the program reaches one callee, plain."""
    return _listener(words.outbound(callee.callee), "127.0.0.1", callee.port, _outbound_chain(plan, callee))


def named(plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    """The same at the callee's own loopback address, to which its name leads."""
    (address, port), *others = callee.named
    listener = _listener(f"name.{callee.callee}", address, port, _outbound_chain(plan, callee))
    more = [{"address": {"socketAddress": {"address": each, "portValue": port}}} for each, port in others]
    return {**listener, "additionalAddresses": more} if more else listener


def _outbound_chain(plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    if callee.layer is Layer.TCP:
        seen = log.outbound_connections(plan.access_log, callee.callee)
        filters = [_tcp_proxy(words.outbound(callee.callee), callee.to, seen)]
    else:
        filters = [http.outbound_manager(callee, log.outbound_requests(plan.access_log))]
    return {"filters": filters, **drain_mark(plan.revocation_of(callee))}


def proxy(plan: WorkloadPlan) -> dict[str, Any]:
    """The loopback port that `http_proxy` names."""
    filters = [http.proxy_manager(log.outbound_requests(plan.access_log))]
    newest = max((each.revocation for each in plan.upstreams), default=0)
    return _listener("proxy", "127.0.0.1", plan.proxy_port, {"filters": filters, **drain_mark(newest)})


def drain_mark(revocation: int) -> dict[str, Any]:
    """What makes a filter chain or a cluster another one after a revocation.

    Envoy closes nothing when a revocation list changes, but drains what it replaces.
    """
    return {"metadata": {"filterMetadata": {"handsel": {"revocation": revocation}}}} if revocation else {}


def _inbound_filters(port: Inbound, access_log: str) -> list[dict[str, Any]]:
    if port.layer is Layer.HTTP:
        return [http.inbound_manager(port, log.inbound_requests(access_log))]
    allowed = {
        "name": "envoy.filters.network.rbac",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
            "statPrefix": f"{port.name}.",
            "rules": rbac.of_callers(port.callers),
        },
    }
    to = (Weighted(words.application(port.name)),)
    proxy_filter = _tcp_proxy(port.name, to, log.inbound_connected(access_log))
    # By default the program would be dialled for every connection, also those that TLS refuses.
    proxy_filter["typedConfig"]["upstreamConnectMode"] = "ON_DOWNSTREAM_TLS_HANDSHAKE"
    proxy_filter["typedConfig"]["maxEarlyDataBytes"] = 65536
    return [allowed, proxy_filter] if port.callers else [proxy_filter]


def _tcp_proxy(prefix: str, to: tuple[Weighted, ...], access_log: list[dict[str, Any]]) -> dict[str, Any]:
    where: dict[str, Any] = {"cluster": to[0].upstream}
    if len(to) > 1:
        where = {"weightedClusters": {"clusters": [{"name": each.upstream, "weight": each.weight} for each in to]}}
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "statPrefix": prefix,
            **where,
            "accessLog": access_log,
            "accessLogOptions": {"flushAccessLogOnConnected": True},
        },
    }


def _listener(name: str, address: str, port: int, chain: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "statPrefix": name,
        "address": {"socketAddress": {"address": address, "portValue": port}},
        # Otherwise a second process would silently take half of the connections.
        "enableReusePort": False,
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "socketOptions": _ACCEPTED_KEEPALIVE,
        "filterChains": [chain],
    }
