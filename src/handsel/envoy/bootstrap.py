"""The bootstrap of an Envoy that learns everything else by ADS over a Unix socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

AGENT_CLUSTER = "_agent"

# What `status`, `explain` and a scrape read; the thousands of others cost memory.
_STATISTICS = [
    {"contains": ".ssl."},
    {"contains": "rbac."},
    {"contains": "update_rejected"},
    {"suffix": "upstream_cx_total"},
    {"suffix": "upstream_cx_active"},
    {"suffix": "upstream_cx_connect_fail"},
    {"suffix": "upstream_cx_rx_bytes_total"},
    {"suffix": "upstream_cx_tx_bytes_total"},
    {"suffix": "upstream_rq_total"},
    {"suffix": "upstream_rq_time"},
    *({"suffix": f"{side}_rq_{first}xx"} for side in ("upstream", "downstream") for first in range(1, 6)),
    {"contains": ".grpc."},
    {"suffix": "tls_inspector.tls_not_found"},
    {"suffix": "downstream_cx_total"},
    {"suffix": "downstream_rq_total"},
    {"exact": "server.live"},
]
_MOST_CONNECTIONS = 10_000
# Envoy refuses expressions of more than 100 instructions, about as many letters; ours are bounded when they are read.
RUNTIME: dict[str, Any] = {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 10_000}}]}


@dataclass(frozen=True)
class Sockets:
    """The Unix sockets of one proxy: where it finds the agent, and where it is administered."""

    ads: Path
    admin: Path


def bootstrap(node_id: str, sockets: Sockets) -> dict[str, Any]:
    """Envoy's bootstrap in JSON form. The node's name is for people; the socket is the identity."""
    return {
        "node": {"id": node_id, "cluster": "handsel"},
        "admin": {
            "address": {"pipe": {"path": str(sockets.admin), "mode": 0o600}},
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": AGENT_CLUSTER,
                            # The default (500 ms, then up to 30 s) would double a cold start.
                            "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "1s"}},
                        }
                    }
                ],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": AGENT_CLUSTER,
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {
                                "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
                            },
                        }
                    },
                    "load_assignment": {
                        "cluster_name": AGENT_CLUSTER,
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(sockets.ads)}}}}]}
                        ],
                    },
                }
            ]
        },
        "layered_runtime": RUNTIME,
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _STATISTICS}}},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                        "downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": _MOST_CONNECTIONS,
                    },
                }
            ]
        },
    }
