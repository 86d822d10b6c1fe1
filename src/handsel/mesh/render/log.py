"""Access logs: one JSON object a line, into a file of the workload. Their fields are a contract: `explain` joins them.

The two ends of a connection join by address: `upstream_local` at the caller is `peer` at the callee.
"""

from __future__ import annotations

from typing import Any

_DOWNSTREAM_TLS = {
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "peer_uri": "%DOWNSTREAM_PEER_URI_SAN%",
    "peer_serial": "%DOWNSTREAM_PEER_SERIAL%",
    "peer_issuer": "%DOWNSTREAM_PEER_ISSUER%",
    "local_uri": "%DOWNSTREAM_LOCAL_URI_SAN%",
    "tls_version": "%DOWNSTREAM_TLS_VERSION%",
    "tls_group": "%DOWNSTREAM_TLS_GROUP%",
    "tls_failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
}
_UPSTREAM_TLS = {
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "upstream": "%UPSTREAM_HOST%",
    "upstream_local": "%UPSTREAM_LOCAL_ADDRESS%",
    "peer_uri": "%UPSTREAM_PEER_URI_SAN%",
    "peer_dns": "%UPSTREAM_PEER_DNS_SAN%",
    "local_uri": "%UPSTREAM_LOCAL_URI_SAN%",
    "tls_version": "%UPSTREAM_TLS_VERSION%",
    "tls_group": "%UPSTREAM_TLS_GROUP%",
    "tls_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
_REQUEST = {
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration_ms": "%DURATION%",
    "grpc_status": "%GRPC_STATUS%",
    "route": "%ROUTE_NAME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "trace_id": "%TRACE_ID%",
}


def inbound_connections(path: str) -> list[dict[str, Any]]:
    """Each connection at the mesh port when it ends: only here is a failed handshake seen."""
    return [_file(path, {"event": "inbound", **_common(), **_DOWNSTREAM_TLS})]


def inbound_connected(path: str) -> list[dict[str, Any]]:
    """A layer-4 connection as soon as the application was reached, since it may live for days."""
    return [_file(path, {"event": "inbound_connected", **_common(), **_DOWNSTREAM_TLS})]


def inbound_requests(path: str) -> list[dict[str, Any]]:
    """Each request at a layer-7 mesh port."""
    return [_file(path, {"event": "inbound_request", **_common(), **_REQUEST, **_DOWNSTREAM_TLS})]


def outbound_connections(path: str, callee: str) -> list[dict[str, Any]]:
    """Each layer-4 connection to a callee: as soon as it stands, and when it ends."""
    return [_file(path, {"event": "outbound", "callee": callee, **_common(), **_UPSTREAM_TLS})]


def outbound_requests(path: str) -> list[dict[str, Any]]:
    """Each request through a layer-7 listener or the proxy port."""
    fields = {"event": "outbound_request", "callee": "%UPSTREAM_CLUSTER%", **_common(), **_REQUEST, **_UPSTREAM_TLS}
    return [_file(path, fields)]


def _common() -> dict[str, str]:
    return {
        "start": "%START_TIME%",
        "type": "%ACCESS_LOG_TYPE%",
        "flags": "%RESPONSE_FLAGS%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
    }


def _file(path: str, fields: dict[str, str]) -> dict[str, Any]:
    return {
        "name": "envoy.access_loggers.file",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "logFormat": {"jsonFormat": fields},
        },
    }
