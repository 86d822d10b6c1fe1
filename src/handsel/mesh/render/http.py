"""The HTTP connection manager. Fixed codecs, bounded windows, no headers of the proxy's own; routes come by RDS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handsel.mesh.ir import Chain, Front, Inbound, Outbound
from handsel.mesh.render import action, jwt, rbac, words

# Small windows cost two fifths of bulk throughput; larger ones gain nothing measurable.
HTTP2_OPTIONS: dict[str, Any] = {
    "maxConcurrentStreams": 1024,
    "initialStreamWindowSize": 4 << 20,
    "initialConnectionWindowSize": 16 << 20,
    "connectionKeepalive": {"interval": "30s", "timeout": "5s"},
    # An upgraded connection (WebSocket) is a stream of its own here (RFC 8441).
    "allowConnect": True,
}
# Strangers get less of our memory (Envoy's advice for proxies at the edge).
_EDGE_HTTP2_OPTIONS: dict[str, Any] = {
    **HTTP2_OPTIONS,
    "maxConcurrentStreams": 100,
    "initialStreamWindowSize": 256 << 10,
    "initialConnectionWindowSize": 1 << 20,
}
# So that rotation, expiry and revocation reach connections that would live for ever.
MAXIMUM_CONNECTION_AGE = "600s"
# Nobody's x-envoy headers are believed. No list at all would be taken for that of private networks.
NOBODY_WITHIN = {"cidrRanges": [{"addressPrefix": "255.255.255.255", "prefixLen": 32}]}
# Answers by gRPC status, since what fails there comes with an HTTP 200.
_GRPC_STATISTICS: dict[str, Any] = {
    "name": "envoy.filters.http.grpc_stats",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        "statsForAllMethods": False,
    },
}


# With a length instead of chunks, which HTTP/1.0 does not know (RFC 9112, section 6.1).
_WHOLE_REQUESTS = {
    "name": "envoy.filters.http.buffer",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer", "maxRequestBytes": 8 << 20,
    },
}  # fmt: skip


def inbound_manager(
    inbound: Inbound,
    log: list[dict[str, Any]],
    filters: list[dict[str, Any]],
    *,
    any_version: bool,
    paths_are_asked: bool = False,
) -> dict[str, Any]:
    """Requests to the program. `any_version`: also of callers that do not know that requests are looked into.

    `paths_are_asked`: a path is written in one way only before a rule compares it, and one that hides a slash in
    `%2F` is refused (RFC 3986, section 6.2.2), so that no other spelling gets around the rule.
    """
    to: dict[str, Any] = {"cluster": words.application(inbound.name), "timeout": "0s"}
    if inbound.behind:
        to["hostRewriteLiteral"] = inbound.behind.authority
    if inbound.behind and inbound.behind.http10:
        filters = [*filters, _WHOLE_REQUESTS]
    routes = [{"match": {"prefix": "/"}, "route": to}]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    config = {"name": inbound.name, "virtualHosts": hosts, "validateClusters": False}
    manager = _manager(inbound.name, "AUTO" if any_version else "HTTP2", {"routeConfig": config}, log, filters)
    if any_version:
        manager["typedConfig"]["http2ProtocolOptions"] = HTTP2_OPTIONS
    if inbound.from_gateway:  # what it says of a client's certificate; plaintext callers say nothing
        manager["typedConfig"]["forwardClientCertDetails"] = "FORWARD_ONLY"
    if paths_are_asked:
        manager["typedConfig"] |= {
            "normalizePath": True,
            "mergeSlashes": True,
            "pathWithEscapedSlashesAction": "REJECT_REQUEST",
        }
    return manager


def outbound_manager(outbound: Outbound, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to one callee, by its loopback port."""
    codec = "HTTP2" if outbound.listener_http2 else "HTTP1"
    routes = _by_rds(words.outbound(outbound.callee))
    return _manager(outbound.callee, codec, routes, log, action.filters(outbound.routes))


def proxy_manager(outbounds: Iterable[Outbound], log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to any callee by name, as `http_proxy` makes clients write them."""
    routes = tuple(route for each in outbounds if each.via_proxy for route in each.routes)
    manager = _manager(words.PROXY, "HTTP1", _by_rds(words.PROXY), log, action.filters(routes))
    manager["typedConfig"]["httpProtocolOptions"] = {"allowAbsoluteUrl": True}
    return manager


def front_manager(front: Front, chain: Chain, log: list[dict[str, Any]], *, is_edge: bool = True) -> dict[str, Any]:
    """Requests from outside. What only a proxy may say of a client is taken away, whoever wrote it.

    `is_edge` False: the peers are proxies of the mesh, which did all this already.
    """
    needed = action.filters(tuple(route for site in chain.sites for route in site.routes))
    asked = [*jwt.tokens(chain.access.tokens), *rbac.requests(chain.access)]
    manager = _manager(front.name, "AUTO", _by_rds(words.front(front.name, chain.name)), log, [*asked, *needed])
    config = manager["typedConfig"]
    # What a client's certificate says, in X-Forwarded-Client-Cert.
    config["forwardClientCertDetails"] = "SANITIZE_SET" if chain.tells_client else "SANITIZE"
    if chain.tells_client:
        config["setCurrentClientCertDetails"] = {"subject": True, "uri": True, "dns": True}
    config["http2ProtocolOptions"] = _EDGE_HTTP2_OPTIONS if is_edge else HTTP2_OPTIONS
    config["upgradeConfigs"] = [{"upgradeType": "websocket"}]
    if is_edge:
        config |= {
            "useRemoteAddress": True,
            "internalAddressConfig": NOBODY_WITHIN,
            "normalizePath": True,
            "mergeSlashes": True,
            "pathWithEscapedSlashesAction": "UNESCAPE_AND_REDIRECT",
            "requestHeadersTimeout": "10s",
            "streamIdleTimeout": "300s",
        }
        # To many programs X_Forwarded_Client_Cert is the same header as the one that only we set.
        config["commonHttpProtocolOptions"] = {
            **config["commonHttpProtocolOptions"], "idleTimeout": "300s", "headersWithUnderscoresAction": "DROP_HEADER",
        }  # fmt: skip
    return manager


def _by_rds(name: str) -> dict[str, Any]:
    # Apart from the listener: a changed rule then drains no connection.
    return {"rds": {"routeConfigName": name, "configSource": {"ads": {}, "resourceApiVersion": "V3"}}}


def _manager(
    name: str, codec: str, routes: dict[str, Any], log: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "statPrefix": name,
        "codecType": codec,
        "generateRequestId": False,
        "serverHeaderTransformation": "PASS_THROUGH",
        "commonHttpProtocolOptions": {"maxConnectionDuration": MAXIMUM_CONNECTION_AGE},
        # As on layer 4: how long a call may be silent is for the two programs to say.
        "streamIdleTimeout": "3600s",
        "upgradeConfigs": [{"upgradeType": "websocket"}],
        "accessLog": log,
        **routes,
        "httpFilters": [
            *filters,
            _GRPC_STATISTICS,
            {
                "name": "envoy.filters.http.router",
                "typedConfig": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "suppressEnvoyHeaders": True,
                },
            },
        ],
    }
    if codec == "HTTP2":
        config["http2ProtocolOptions"] = HTTP2_OPTIONS
    return {"name": "envoy.filters.network.http_connection_manager", "typedConfig": config}
