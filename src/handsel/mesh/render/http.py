"""The HTTP connection manager. Fixed codecs, bounded windows, no headers of the proxy's own; routes come by RDS."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Inbound, Outbound
from handsel.mesh.render import rbac, words

# Small windows cost two fifths of bulk throughput; larger ones gain nothing measurable.
HTTP2_OPTIONS: dict[str, Any] = {
    "maxConcurrentStreams": 1024,
    "initialStreamWindowSize": 4 << 20,
    "initialConnectionWindowSize": 16 << 20,
    "connectionKeepalive": {"interval": "30s", "timeout": "5s"},
}
# So that rotation, expiry and revocation reach connections that would live for ever.
MAXIMUM_CONNECTION_AGE = "600s"


def inbound_manager(inbound: Inbound, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the callers' sidecars to the program."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": words.application(inbound.name), "timeout": "0s"}}]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    config = {"name": inbound.name, "virtualHosts": hosts, "validateClusters": False}
    filters = [rbac.http(inbound.callers)] if inbound.callers else []
    return _manager(inbound.name, "HTTP2", {"routeConfig": config}, log, filters)


def outbound_manager(outbound: Outbound, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to one callee, by its loopback port."""
    codec = "HTTP2" if outbound.listener_http2 else "HTTP1"
    return _manager(outbound.callee, codec, _by_rds(words.outbound(outbound.callee)), log, [])


def proxy_manager(log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to any callee by name, as `http_proxy` makes clients write them."""
    manager = _manager(words.PROXY, "HTTP1", _by_rds(words.PROXY), log, [])
    manager["typedConfig"]["httpProtocolOptions"] = {"allowAbsoluteUrl": True}
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
        "accessLog": log,
        **routes,
        "httpFilters": [
            *filters,
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
