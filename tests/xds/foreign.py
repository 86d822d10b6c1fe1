"""Envoys that are configured by hand, as the documentation of other SDS servers has it: only the socket is ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handsel.envoy.adapters import binary, process

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_HTTP2 = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class Flavour:
    """How an Envoy is told where its secrets are: the cluster's name, the protocol, the names of the secrets."""

    cluster: str
    api_type: str
    identity: str
    trust: str
    patience: str = "15s"  # how long a start waits for a secret; Envoy's default

    def source(self, name: str) -> dict[str, Any]:
        """An `SdsSecretConfig`."""
        often = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}}
        service = {"envoy_grpc": {"cluster_name": self.cluster, "retry_policy": often}}
        return {
            "name": name,
            "sds_config": {
                "resource_api_version": "V3",
                "initial_fetch_timeout": self.patience,
                "api_config_source": {
                    "api_type": self.api_type, "transport_api_version": "V3", "grpc_services": [service],
                },
            },
        }  # fmt: skip

    def tls(self, kind: str, peer: str, *, identity: str | None = None) -> dict[str, Any]:
        """A TLS context whose secrets come from the socket, and which takes one peer only."""
        common = {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [self.source(identity or self.identity)],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer}}]
                },
                "validation_context_sds_secret_config": self.source(self.trust),
            },
        }
        context: dict[str, Any] = {"@type": f"{_TLS}.{kind}", "common_tls_context": common}
        if kind == "DownstreamTlsContext":
            context["require_client_certificate"] = True
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}

    def bootstrap(self, sds: Path, admin: Path, listeners: list[Any], clusters: list[Any]) -> dict[str, Any]:
        """The whole configuration, static but for the secrets."""
        agent = {
            "name": self.cluster,
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": _HTTP2, "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
            "load_assignment": _at(self.cluster, {"pipe": {"path": str(sds)}}),
        }  # fmt: skip
        return {
            "node": {"id": "foreign", "cluster": "foreign"},
            "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
            "static_resources": {"listeners": listeners, "clusters": [agent, *clusters]},
        }


def listener(name: str, port: int, route: dict[str, Any], tls: dict[str, Any] | None = None) -> dict[str, Any]:
    """A listener for HTTP that does `route` with every request."""
    connections = {
        "@type": _HTTP, "stat_prefix": name,
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]
        },
    }  # fmt: skip
    chain = {"filters": [{"name": "http", "typed_config": connections}], **({"transport_socket": tls} if tls else {})}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": name, "address": address, "enable_reuse_port": False, "filter_chains": [chain]}


ANSWERS = {"direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
CALLS = {"route": {"cluster": "peer"}}


def peer(port: int, tls: dict[str, Any]) -> dict[str, Any]:
    """The cluster `peer`, each request on a connection of its own."""
    return {
        "name": "peer", "type": "STATIC", "connect_timeout": "2s", "transport_socket": tls,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP2, "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"max_requests_per_connection": 1},
            }
        },
        "load_assignment": _at("peer", {"socket_address": {"address": "127.0.0.1", "port_value": port}}),
    }  # fmt: skip


@contextlib.asynccontextmanager
async def envoy(folder: Path, name: str, bootstrap: dict[str, Any]) -> AsyncIterator[Path]:
    """An Envoy that runs. Gives the file of its log."""
    log = folder / f"{name}.log"
    running = process.start(
        binary.find(None), bootstrap, config=folder / f"{name}.json", log=log, record=folder / f"{name}.pid"
    )
    try:
        yield log
    finally:
        await process.end(running)


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def eventually(ask: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(seconds):
        while not await ask():
            await asyncio.sleep(0.02)


async def status(port: int, context: ssl.SSLContext | None = None) -> int:
    """The status of a GET; 0 when there is none."""
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return int(answer.split()[1]) if answer else 0
    return 0


async def serial(port: int, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that is shown at this port; 0 when there is none."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        shown = writer.get_extra_info("peercert")
        writer.transport.abort()
        return int(shown["serialNumber"], 16)
    return 0


def _at(cluster: str, address: dict[str, Any]) -> dict[str, Any]:
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
