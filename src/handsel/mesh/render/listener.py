"""Listeners: one loopback port a callee, and the proxy port; what all listeners have alike."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Layer, Outbound, Weighted, WorkloadPlan
from handsel.mesh.render import http, log, words

BUFFER_BYTES = 256 << 10
TCP_KEEPALIVE = {"keepaliveTime": 60, "keepaliveInterval": 10, "keepaliveProbes": 3}
# The same for accepted connections, as Linux's socket options (SO_KEEPALIVE, TCP_KEEPIDLE, _INTVL, _CNT): they are
# inherited from the listening socket, and the field `tcp_keepalive` is newer than the protobuf package.
_ACCEPTED_KEEPALIVE = [
    {"level": level, "name": name, "intValue": value, "state": "STATE_PREBIND"}
    for level, name, value in ((1, 9, 1), (6, 4, 60), (6, 5, 10), (6, 6, 3))
]
_TLS_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}


def outbound(plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    """The loopback port at which the program reaches one callee, plain."""
    return _outbound(words.outbound(callee.callee), "127.0.0.1", callee.port, plan, callee)


def named(plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    """The same at the callee's own loopback address, to which its name leads."""
    (address, port), *others = callee.named
    listener = _outbound(f"name.{callee.callee}", address, port, plan, callee)
    more = [{"address": {"socketAddress": {"address": each, "portValue": port}}} for each, port in others]
    return {**listener, "additionalAddresses": more} if more else listener


def _outbound(name: str, address: str, port: int, plan: WorkloadPlan, callee: Outbound) -> dict[str, Any]:
    mark = drain_mark(plan.revocation_of(callee))
    if callee.layer is Layer.HTTP:
        filters = [http.outbound_manager(callee, log.outbound_requests(plan.access_log))]
        return bare(name, address, port, [{"filters": filters, **mark}])
    chains = [
        {**_server_names(each.server_names), "filters": [_passed_on(plan, callee, each.to)], **mark}
        for each in callee.by_server_name
    ]
    if callee.to:
        chains.append({"filters": [_passed_on(plan, callee, callee.to)], **mark})
    listener = bare(name, address, port, chains)
    return {**listener, "listenerFilters": [_TLS_INSPECTOR]} if callee.by_server_name else listener


def _server_names(names: tuple[str, ...]) -> dict[str, Any]:
    """Of all of them, whatever their names: `*`."""
    return {"filterChainMatch": {"transportProtocol": "tls", **({} if "*" in names else {"serverNames": list(names)})}}


def _passed_on(plan: WorkloadPlan, callee: Outbound, to: tuple[Weighted, ...]) -> dict[str, Any]:
    seen = log.outbound_connections(plan.access_log, callee.callee)
    made = tcp_proxy(words.outbound(callee.callee), to, seen)
    if callee.idle_timeout is not None:
        made["typedConfig"]["idleTimeout"] = words.seconds(callee.idle_timeout)
    if callee.maximum_age is not None:
        made["typedConfig"]["maxDownstreamConnectionDuration"] = words.seconds(callee.maximum_age)
    if callee.by_source:
        made["typedConfig"]["hashPolicy"] = [{"sourceIp": {}}]
    return made


def proxy(plan: WorkloadPlan) -> dict[str, Any]:
    """The loopback port that `http_proxy` names."""
    filters = [http.proxy_manager(plan.outbounds, log.outbound_requests(plan.access_log))]
    newest = max((each.revocation for each in plan.upstreams), default=0)
    return _listener("proxy", "127.0.0.1", plan.proxy_port, {"filters": filters, **drain_mark(newest)})


def drain_mark(revocation: int) -> dict[str, Any]:
    """What makes a filter chain or a cluster another one after a revocation.

    Envoy closes nothing when a revocation list changes, but drains what it replaces.
    """
    return {"metadata": {"filterMetadata": {"handsel": {"revocation": revocation}}}} if revocation else {}


def tcp_proxy(prefix: str, to: tuple[Weighted, ...], access_log: list[dict[str, Any]]) -> dict[str, Any]:
    """The filter that passes the bytes of a connection on."""
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
    return bare(name, address, port, [chain])


def bare(name: str, address: str, port: int, chains: list[dict[str, Any]]) -> dict[str, Any]:
    """A listener and what all of them have alike."""
    return {
        "name": name,
        "statPrefix": name,
        "address": {"socketAddress": {"address": address, "portValue": port}},
        # Otherwise a second process would silently take half of the connections.
        "enableReusePort": False,
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "socketOptions": _ACCEPTED_KEEPALIVE,
        "filterChains": chains,
    }
