"""Clusters: the program behind the mesh port, and each callee with the TLS towards it."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import Inbound, Upstream
from handsel.mesh.render import tls
from handsel.mesh.render.http import HTTP2_OPTIONS, MAXIMUM_CONNECTION_AGE
from handsel.mesh.render.listener import BUFFER_BYTES, TCP_KEEPALIVE, drain_mark
from handsel.mesh.render.words import application, seconds

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Envoy's own limit of 1024 would cut a busy service; none at all would end in file descriptors.
_LIMITS = {"thresholds": [{"maxConnections": 10000, "maxPendingRequests": 10000, "maxRequests": 10000}]}


def inbound(port: Inbound) -> dict[str, Any]:
    """The program itself, plain, on loopback."""
    return {
        "name": application(port.name),
        "type": "STATIC",
        "connectTimeout": "1s",
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "loadAssignment": endpoints(application(port.name), (("127.0.0.1", port.application_port),)),
        "circuitBreakers": _LIMITS,
        "typedExtensionProtocolOptions": {_OPTIONS: _http_options(http2=port.application_http2)},
    }


def upstream(callee: Upstream) -> dict[str, Any]:
    """A callee. Its addresses come by EDS when they may change."""
    cluster: dict[str, Any] = {
        "name": callee.name,
        "connectTimeout": seconds(callee.connect_timeout),
        "perConnectionBufferLimitBytes": BUFFER_BYTES,
        "circuitBreakers": _LIMITS,
        "upstreamConnectionOptions": {"tcpKeepalive": TCP_KEEPALIVE},
        "typedExtensionProtocolOptions": {_OPTIONS: _http_options(http2=callee.http2)},
    }
    if callee.by_eds:
        cluster["type"] = "EDS"
        cluster["edsClusterConfig"] = {"edsConfig": {"ads": {}, "resourceApiVersion": "V3"}}
    else:
        cluster["type"] = "STRICT_DNS" if callee.dns else "STATIC"
        cluster["loadAssignment"] = endpoints(callee.name, callee.endpoints)
    if callee.tls is not None:
        cluster["transportSocket"] = tls.upstream(callee.tls)
    cluster |= drain_mark(callee.revocation)
    return cluster


def endpoints(name: str, addresses: tuple[tuple[str, int], ...]) -> dict[str, Any]:
    """The addresses of a cluster (a ClusterLoadAssignment)."""
    return {
        "clusterName": name,
        "endpoints": [
            {
                "lbEndpoints": [
                    {"endpoint": {"address": {"socketAddress": {"address": address, "portValue": port}}}}
                    for address, port in addresses
                ]
            }
        ],
    }


def _http_options(*, http2: bool) -> dict[str, Any]:
    explicit = {"http2ProtocolOptions": HTTP2_OPTIONS} if http2 else {"httpProtocolOptions": {}}
    return {
        "@type": f"type.googleapis.com/{_OPTIONS}",
        # Below the 75 s after which web servers usually hang up on an idle connection.
        "commonHttpProtocolOptions": {"idleTimeout": "60s", "maxConnectionDuration": MAXIMUM_CONNECTION_AGE},
        "explicitHttpConfig": explicit,
    }
