"""Fronts: ports for whoever comes from outside, with a filter chain for each set of server names (SNI)."""

from __future__ import annotations

from typing import Any

from handsel.mesh.intent import PeerAnyone, PeerIds
from handsel.mesh.ir import Chain, Front
from handsel.mesh.render import http, log, rbac, route, tls, words
from handsel.mesh.render import listener as listeners

_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    },
}


def listener(front: Front, access_log: str) -> dict[str, Any]:
    """The listener of a front."""
    made = listeners.bare(
        front.name, front.address, front.port, [_chain(front, each, access_log) for each in front.chains]
    )
    if any(each.server_names for each in front.chains):
        made["listenerFilters"] = [_INSPECTOR]
        # Who says nothing is let go: no chain is for it.
        made["listenerFiltersTimeout"] = "5s"
    return {**made, "accessLog": log.inbound_connections(access_log)}


def routes(front: Front) -> list[dict[str, Any]]:
    """Where the requests of each chain go."""
    looked_into = [each for each in front.chains if not (each.to or each.closed)]
    return [route.front(words.front(front.name, each.name), each) for each in looked_into]


def _chain(front: Front, chain: Chain, access_log: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": chain.name, "filters": _filters(front, chain, access_log)}
    match = _match(chain)
    if match:
        made["filterChainMatch"] = match
    if chain.tls:
        made["transportSocket"] = tls.downstream(chain.tls)
        made["transportSocketConnectTimeout"] = "5s"
    return {**made, **listeners.drain_mark(chain.revocation)}


def _match(chain: Chain) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if chain.server_names:
        made["serverNames"] = list(chain.server_names)
    if chain.subnets:
        made["sourcePrefixRanges"] = [rbac.block(each) for each in chain.subnets]
    return made


def _filters(front: Front, chain: Chain, access_log: str) -> list[dict[str, Any]]:
    if chain.closed:
        return []
    if chain.to:
        passing = listeners.tcp_proxy(f"{front.name}.{chain.name}", chain.to, log.inbound_connected(access_log))
        if chain.tls:  # the other side is not dialled for whom TLS refuses
            passing["typedConfig"] |= {"upstreamConnectMode": "ON_DOWNSTREAM_TLS_HANDSHAKE", "maxEarlyDataBytes": 65536}
        return [passing]
    of_mesh = chain.tls is not None and isinstance(chain.tls.peer, PeerIds | PeerAnyone)
    return [http.front_manager(front, chain, log.inbound_requests(access_log), is_edge=not of_mesh)]
