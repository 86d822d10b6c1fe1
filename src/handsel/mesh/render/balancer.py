"""A load balancer: listeners with a filter chain for each certificate, and their routes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from handsel.mesh.balancing import Balancing, Port, Site
from handsel.mesh.intent import TlsIntent
from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.render import balancer_filters, balancer_route, listener, log, tls, words
from handsel.mesh.render.http import HTTP2_OPTIONS, MAXIMUM_CONNECTION_AGE, NOBODY_WITHIN
from handsel.model.balancer import Health

_LISTENER_FILTER = "type.googleapis.com/envoy.extensions.filters.listener."
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_LOOK_AGAIN = timedelta(seconds=1)
HEADERS_KB = 32
"""As CloudHub 2.0 has it; 431 beyond."""


def listeners(balancing: Balancing, access_log: str) -> list[dict[str, Any]]:
    """A listener a port."""
    return [_listener(balancing, each, access_log) for each in balancing.ports]


def routes(balancing: Balancing) -> list[dict[str, Any]]:
    """The routes of every site, each once: the default one has two filter chains."""
    found = {
        _routes_name(port, site): balancer_route.configuration(_routes_name(port, site), site, balancing)
        for port in balancing.ports
        for site in port.sites
    }
    return list(found.values())


def ports(plan: WorkloadPlan) -> tuple[Port, ...]:
    """The ports of a load balancer; none of any other proxy."""
    return plan.balancing.ports if plan.balancing else ()


def looked_at(clusters: list[dict[str, Any]], plan: WorkloadPlan) -> list[dict[str, Any]]:
    """The same clusters; those of applications look at their endpoints."""
    health = dict(plan.balancing.health) if plan.balancing else {}
    http2 = {each.name for each in plan.upstreams if each.http2}
    return [
        _with_health(each, health[each["name"]], http2=each["name"] in http2) if each["name"] in health else each
        for each in clusters
    ]


def _listener(balancing: Balancing, port: Port, access_log: str) -> dict[str, Any]:
    chains = [_chain(balancing, port, site, access_log) for site in port.sites]
    made = listener.bare(port.name, port.address, port.number, chains)
    filters = []
    if balancing.proxy_protocol:
        filters.append(
            {
                "name": "envoy.filters.listener.proxy_protocol",
                "typedConfig": {"@type": _LISTENER_FILTER + "proxy_protocol.v3.ProxyProtocol"},
            }
        )
    if any(site.tls for site in port.sites):
        filters.append(
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typedConfig": {"@type": _LISTENER_FILTER + "tls_inspector.v3.TlsInspector"},
            }
        )
    if filters:
        made |= {"listenerFilters": filters, "listenerFiltersTimeout": "5s"}
    return {**made, "accessLog": log.inbound_connections(access_log)}


def _chain(balancing: Balancing, port: Port, site: Site, access_log: str) -> dict[str, Any]:
    default = "" if site.server_names else "default."
    made: dict[str, Any] = {
        "name": f"{default}{site.name}",
        "filters": [_manager(balancing, port, site, access_log)],
        **listener.drain_mark(balancing.revocation),
    }
    match: dict[str, Any] = {"serverNames": list(site.server_names)} if site.server_names else {}
    if site.allow and not balancing.trusted_hops:
        # No chain for others: they are let go before a handshake, and see no certificate.
        match["sourcePrefixRanges"] = [balancer_filters.network(each) for each in site.allow]
    if match:
        made["filterChainMatch"] = match
    if site.tls:
        made["transportSocket"] = _downstream(site, site.tls)
        made["transportSocketConnectTimeout"] = "5s"
    return made


def _downstream(site: Site, intent: TlsIntent) -> dict[str, Any]:
    made = tls.downstream(intent)
    if site.believes_later:
        context = made["typedConfig"]["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
        context["trustChainVerification"] = "ACCEPT_UNTRUSTED"
    return made


def _routes_name(port: Port, site: Site) -> str:
    return f"{port.name}#{site.name}"


def _manager(balancing: Balancing, port: Port, site: Site, access_log: str) -> dict[str, Any]:
    """Envoy's advice for proxies at the edge, and what the load balancer's settings say."""
    rds = {"routeConfigName": _routes_name(port, site), "configSource": {"ads": {}, "resourceApiVersion": "V3"}}
    keep = balancing.keep_url_encoding
    config: dict[str, Any] = {
        "@type": _MANAGER,
        "statPrefix": port.name,
        "codecType": "AUTO",
        "rds": rds,
        "generateRequestId": False,
        "serverHeaderTransformation": "PASS_THROUGH",
        "useRemoteAddress": True,
        "xffNumTrustedHops": balancing.trusted_hops,
        "internalAddressConfig": NOBODY_WITHIN,
        "maxRequestHeadersKb": HEADERS_KB,
        "requestHeadersTimeout": "30s",
        "streamIdleTimeout": words.seconds(balancing.read_timeout),
        "normalizePath": not keep,
        "mergeSlashes": not keep,
        "pathWithEscapedSlashesAction": "KEEP_UNCHANGED" if keep else "UNESCAPE_AND_FORWARD",
        "commonHttpProtocolOptions": {
            "idleTimeout": words.seconds(balancing.idle_timeout),
            "maxConnectionDuration": MAXIMUM_CONNECTION_AGE,
            # To many programs X_SSL_Client_Verify is the same header as the one that only we set.
            "headersWithUnderscoresAction": "DROP_HEADER",
        },
        "http2ProtocolOptions": HTTP2_OPTIONS,
        "upgradeConfigs": [{"upgradeType": "websocket", "enabled": False}],
        "earlyHeaderMutationExtensions": [balancer_filters.strip_forged()],
        **balancer_filters.client_details(site),
        "httpFilters": balancer_filters.chain(balancing, site),
        "accessLog": log.inbound_requests(access_log),
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typedConfig": config}


def _with_health(cluster: dict[str, Any], health: Health, *, http2: bool) -> dict[str, Any]:
    """The same cluster, whose endpoints are looked at: one that fails gets no requests."""
    check: dict[str, Any] = {
        "timeout": words.seconds(health.timeout),
        "interval": words.seconds(health.interval),
        # Envoy would look once a minute until the first request.
        "noTrafficInterval": words.seconds(health.interval),
        # One that comes up, or back, is not kept waiting.
        "unhealthyInterval": words.seconds(min(health.interval, _LOOK_AGAIN)),
        "unhealthyThreshold": health.unhealthy,
        "healthyThreshold": health.healthy,
    }
    if health.path:
        codec = {"codecClientType": "HTTP2"} if http2 else {}
        check["httpHealthCheck"] = {"path": health.path, "host": cluster["name"].partition(".")[0], **codec}
    else:
        check["tcpHealthCheck"] = {}
    # Envoy would send requests to dead endpoints again when most of them are dead.
    panic = {"commonLbConfig": {"healthyPanicThreshold": {"value": 0}}}
    return {**cluster, "lbPolicy": "ROUND_ROBIN", "healthChecks": [check], "ignoreHealthOnHostRemoval": True, **panic}
