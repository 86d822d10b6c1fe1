"""The mesh port of a workload: mutual TLS from exactly the allowed callers, and plaintext where that was said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from handsel.mesh.access.paths import asks_for_paths
from handsel.mesh.intent import PeerAnyone, PeerIds
from handsel.mesh.ir import Access, Inbound, Layer, Weighted, WorkloadPlan
from handsel.mesh.render import http, jwt, log, rbac, tls, words
from handsel.mesh.render.listener import bare, drain_mark, tcp_proxy
from handsel.model.access import Mode

# Envoy tells TLS from plaintext by a client's first bytes. A client that waits for those of the server sends none: it
# is taken for plaintext after a moment, a short one where servers often speak first. Our proxies send theirs at once.
_WAIT_FOR_FIRST_BYTES = {True: "0.5s", False: "5s"}
_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    },
}
_Peer = PeerIds | PeerAnyone
_Made = dict[str, Any]


def listener(plan: WorkloadPlan, port: Inbound) -> _Made:
    """The listener. A connection that fits none of its chains is closed before any byte of it is passed on."""
    made = bare(port.name, port.address, port.mesh_port, list(_chains(plan, port)))
    made["accessLog"] = log.inbound_connections(plan.access_log)
    if port.mode is Mode.PERMISSIVE:
        made["listenerFilters"] = [_INSPECTOR]
        made["listenerFiltersTimeout"] = _WAIT_FOR_FIRST_BYTES[port.server_first]
        made["continueOnListenerFiltersTimeout"] = True
    return made


def _chains(plan: WorkloadPlan, port: Inbound) -> Iterator[_Made]:
    if port.mode is not Mode.DISABLE:
        for block, peer in (("", port.tls.peer), *((each.block, each.peer) for each in port.near)):
            yield _secured(plan, port, block, peer)
    if port.mode is not Mode.STRICT:
        anywhere = port.plaintext is not None
        for block, admitted in (("", anywhere), *((each.block, each.plaintext) for each in port.near)):
            if admitted or block:
                yield _plain(plan, port, block, admitted=admitted)


def _secured(plan: WorkloadPlan, port: Inbound, block: str, peer: Any) -> _Made:
    callers = peer.allowed if isinstance(peer, PeerIds) else ()
    return {
        **_match(port, block, "tls"),
        # A client that opens a connection and stays silent must not hold it for ever.
        "transportSocketConnectTimeout": "5s",
        "transportSocket": tls.downstream(replace(port.tls, peer=peer)),
        "filters": _filters(port, callers, port.access, plan.access_log, plaintext=False),
        **drain_mark(port.revocation),
    }


def _plain(plan: WorkloadPlan, port: Inbound, block: str, *, admitted: bool) -> _Made:
    """Without TLS. A chain without filters closes what comes: for a block from which nobody is let in."""
    access = port.plaintext or Access()
    filters = _filters(port, (), access, plan.access_log, plaintext=True) if admitted else []
    return {**_match(port, block, "raw_buffer"), "filters": filters}


def _match(port: Inbound, block: str, transport: str) -> _Made:
    match: _Made = {"sourcePrefixRanges": [rbac.block(block)]} if block else {}
    if port.mode is Mode.PERMISSIVE:
        match["transportProtocol"] = transport
    return {"filterChainMatch": match} if match else {}


def _filters(
    port: Inbound, callers: tuple[Any, ...], access: Access, access_log: str, *, plaintext: bool
) -> list[_Made]:
    if port.layer is Layer.HTTP:
        seen = log.inbound_requests(access_log)
        return [
            _manager(
                port,
                callers,
                access,
                _noted(port, seen, access, rbac.AUDITED_REQUEST, plaintext=plaintext),
                plaintext=plaintext,
            )
        ]
    seen = _noted(port, log.inbound_connected(access_log), access, rbac.AUDITED_CONNECTION, plaintext=plaintext)
    to_program = tcp_proxy(port.name, (Weighted(words.application(port.name)),), seen)
    if not plaintext:
        # By default the program would be dialled for every connection, also those that TLS refuses.
        to_program["typedConfig"]["upstreamConnectMode"] = "ON_DOWNSTREAM_TLS_HANDSHAKE"
        to_program["typedConfig"]["maxEarlyDataBytes"] = 65536
    allowed = [rbac.network(callers, port.name)] if callers else []
    return [*rbac.connections(access, port.name), *allowed, to_program]


def _manager(port: Inbound, callers: tuple[Any, ...], access: Access, seen: list[_Made], *, plaintext: bool) -> _Made:
    if access == Access():
        filters = [rbac.http(callers)] if callers else []
        return http.inbound_manager(port, seen, filters, any_version=plaintext or port.behind is not None)
    filters = [*jwt.tokens(access.tokens), *rbac.requests(access)]
    return http.inbound_manager(port, seen, filters, any_version=True, paths_are_asked=asks_for_paths(access))


def _noted(port: Inbound, seen: list[_Made], access: Access, audited: str, *, plaintext: bool) -> list[_Made]:
    """What access logs say beside the usual: that there was no TLS, and which rule of AUDIT fits."""
    more = {"plaintext": "yes", "port": str(port.application_port)} if plaintext else {}
    if access.audit:
        more["audit"] = audited
    for each in seen:
        each["typedConfig"]["logFormat"]["jsonFormat"] |= more
    return seen
