"""The HTTP connection manager and its routes. Fixed codecs, bounded windows, no headers of the proxy's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from handsel.mesh.ir import Inbound, Outbound
from handsel.pki.names import SpiffeId

APPLICATION = "_application"
"""The cluster of the program itself. No callee has this name, since names have no underscore."""

# Small windows cost two fifths of bulk throughput; larger ones gain nothing measurable.
HTTP2_OPTIONS: dict[str, Any] = {
    "maxConcurrentStreams": 1024,
    "initialStreamWindowSize": 4 << 20,
    "initialConnectionWindowSize": 16 << 20,
    "connectionKeepalive": {"interval": "30s", "timeout": "5s"},
}
# So that rotation, expiry and revocation reach connections that would live for ever.
MAXIMUM_CONNECTION_AGE = "600s"

# Only where the callee has certainly not seen the request.
_RETRY = {"retryOn": "connect-failure,refused-stream,reset-before-request", "numRetries": 2}
_PLAIN_ONLY = [{"name": ":scheme", "stringMatch": {"exact": "http"}}]


def seconds(duration: timedelta) -> str:
    """A duration as protobuf's JSON form has it, to the millisecond."""
    return f"{duration.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"


def inbound_manager(inbound: Inbound, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the callers' sidecars to the program."""
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": APPLICATION, "timeout": "0s"}}]
    return _manager(
        "inbound",
        "HTTP2",
        {"name": "inbound", "virtualHosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        log,
        [rbac(inbound.callers)],
    )


def outbound_manager(outbound: Outbound, log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to one callee, by its loopback port."""
    host = {"name": outbound.callee, "domains": ["*"], "routes": [_route(outbound, [])]}
    codec = "HTTP2" if outbound.listener_http2 else "HTTP1"
    return _manager(outbound.callee, codec, {"name": outbound.callee, "virtualHosts": [host]}, log, [])


def proxy_manager(outbounds: tuple[Outbound, ...], log: list[dict[str, Any]]) -> dict[str, Any]:
    """Requests from the program to any callee by name, as `http_proxy` makes clients write them."""
    hosts: list[dict[str, Any]] = [
        {
            "name": outbound.callee,
            "domains": _domains(outbound),
            "routes": [_route(outbound, _PLAIN_ONLY)],
        }
        for outbound in outbounds
        if outbound.via_proxy
    ]
    refusal = {"status": 403, "body": {"inlineString": "handsel: this destination is not among the service's calls\n"}}
    hosts.append(
        {"name": "refused", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "directResponse": refusal}]}
    )
    manager = _manager("proxy", "HTTP1", {"name": "proxy", "virtualHosts": hosts}, log, [])
    manager["typedConfig"]["httpProtocolOptions"] = {"allowAbsoluteUrl": True}
    # Credentials for the proxy end at the proxy.
    manager["typedConfig"]["routeConfig"]["requestHeadersToRemove"] = ["proxy-authorization"]
    return manager


def rbac(callers: tuple[SpiffeId, ...]) -> dict[str, Any]:
    """The second line behind the check of names in the handshake."""
    return {
        "name": "envoy.filters.http.rbac",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": rbac_rules(callers),
        },
    }


def rbac_rules(callers: tuple[SpiffeId, ...]) -> dict[str, Any]:
    """One policy a caller, so that its statistics count the edge."""
    return {
        "action": "ALLOW",
        "policies": {
            str(caller): {
                "permissions": [{"any": True}],
                "principals": [{"authenticated": {"principalName": {"exact": str(caller)}}}],
            }
            for caller in callers
        },
    }


def _domains(outbound: Outbound) -> list[str]:
    """The Host headers that mean this callee: clients leave port 80 out, and no other."""
    with_port = f"{outbound.host}:{outbound.host_port}"
    return [outbound.host, with_port] if outbound.host_port == 80 else [with_port]


def _route(outbound: Outbound, headers: list[dict[str, Any]]) -> dict[str, Any]:
    timeout = outbound.request_timeout
    action: dict[str, Any] = {
        "cluster": outbound.upstream.name,
        "timeout": seconds(timeout) if timeout else "0s",
        "retryPolicy": _RETRY,
    }
    if outbound.rewrite_host:
        action["hostRewriteLiteral"] = outbound.host
    match: dict[str, Any] = {"prefix": "/"}
    if headers:
        match["headers"] = headers
    return {"match": match, "route": action}


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
        # A callee whose secrets are not there yet has no cluster: its requests get 503, the others go on.
        "routeConfig": {**routes, "validateClusters": False},
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
