"""Traces: spans of requests, which the proxies send to a collector by OTLP (OpenTelemetry 1.x, gRPC).

Both proxies of a request take part in its trace: the caller's sends `traceparent` (W3C Trace Context) along.
"""

from __future__ import annotations

from typing import Any

from handsel.model.graph import is_address
from handsel.model.telemetry import Tracing
from handsel.xds.resources import CLUSTER, LISTENER

Resources = dict[str, dict[str, dict[str, Any]]]
"""By type URL and name, in Envoy's JSON form."""
COLLECTOR = "_collector"
"""The cluster of the collector. No callee has this name, since names have no underscore."""
_MANAGER = "envoy.filters.network.http_connection_manager"
_SAMPLERS = "envoy.tracers.opentelemetry.samplers"
_SAMPLER_TYPES = "envoy.extensions.tracers.opentelemetry.samplers.v3"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def with_tracing(rendered: Resources, tracing: Tracing | None, service: str) -> Resources:
    """The resources of a proxy with tracing in every connection manager, and the collector's cluster."""
    if tracing is None:
        return rendered
    listeners = {name: _traced(name, each, tracing, service) for name, each in rendered[LISTENER].items()}
    clusters = {**rendered[CLUSTER], COLLECTOR: collector_cluster(tracing)}
    return {**rendered, CLUSTER: clusters, LISTENER: listeners}


def _traced(name: str, listener: dict[str, Any], tracing: Tracing, service: str) -> dict[str, Any]:
    # What a span is called, and whether it is of a server or of a client.
    direction = "OUTBOUND" if name == "proxy" or name.startswith(("outbound.", "name.")) else "INBOUND"
    chains = [
        {**chain, "filters": [_traced_filter(each, tracing, service) for each in chain.get("filters", [])]}
        for chain in listener["filterChains"]
    ]
    return {**listener, "trafficDirection": direction, "filterChains": chains}


def _traced_filter(each: dict[str, Any], tracing: Tracing, service: str) -> dict[str, Any]:
    if each["name"] != _MANAGER:
        return each
    return {**each, "typedConfig": {**each["typedConfig"], **manager_part(tracing, service)}}


def provider(service: str, sampling: float) -> dict[str, Any]:
    """Who makes spans of the requests of a service's proxy: of this percentage, where no trace came with a request."""
    return {
        "name": "envoy.tracers.opentelemetry",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
            "grpcService": {"envoyGrpc": {"clusterName": COLLECTOR}, "timeout": "1s"},
            "serviceName": service,
            "sampler": {
                "name": f"{_SAMPLERS}.parent_based",
                "typedConfig": {
                    "@type": f"type.googleapis.com/{_SAMPLER_TYPES}.ParentBasedSamplerConfig",
                    "wrappedSampler": {
                        "name": f"{_SAMPLERS}.trace_id_ratio_based",
                        "typedConfig": {
                            "@type": f"type.googleapis.com/{_SAMPLER_TYPES}.TraceIdRatioBasedSamplerConfig",
                            "samplingPercentage": {"numerator": round(sampling * 10_000), "denominator": "MILLION"},
                        },
                    },
                },
            },
        },
    }


def manager_part(tracing: Tracing | None, service: str) -> dict[str, Any]:
    """What a connection manager has for it: nothing without tracing.

    Envoy looks at requests that have an id only, so they get one. Which of them are traced the sampler says: Envoy's
    own shares would take no heed of what a program has decided.
    """
    if tracing is None:
        return {}
    return {
        "generateRequestId": True,
        "tracing": {
            "provider": provider(service, tracing.sampling),
            "randomSampling": {"value": 100},
            "customTags": [
                {"tag": "handsel.peer", "value": "%DOWNSTREAM_PEER_URI_SAN%"},
                {"tag": "handsel.upstream_peer", "value": "%UPSTREAM_PEER_URI_SAN%"},
            ],
        },
    }


def collector_cluster(tracing: Tracing) -> dict[str, Any]:
    """Where spans go. What cannot be sent is dropped: no request waits for its trace."""
    address = {"socketAddress": {"address": tracing.host, "portValue": tracing.port}}
    return {
        "name": COLLECTOR,
        "type": "STATIC" if is_address(tracing.host) else "STRICT_DNS",
        "connectTimeout": "1s",
        "circuitBreakers": {"thresholds": [{"maxConnections": 2, "maxPendingRequests": 64, "maxRequests": 64}]},
        "loadAssignment": {
            "clusterName": COLLECTOR,
            "endpoints": [{"lbEndpoints": [{"endpoint": {"address": address}}]}],
        },
        "typedExtensionProtocolOptions": {
            _OPTIONS: {
                "@type": f"type.googleapis.com/{_OPTIONS}",
                "explicitHttpConfig": {"http2ProtocolOptions": {}},
            }
        },
    }
