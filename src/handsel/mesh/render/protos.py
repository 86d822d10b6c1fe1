"""Envoy's JSON form to protobuf bytes, the same bytes for the same content on every machine."""

from __future__ import annotations

import functools
import pickle
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import any_pb2, json_format, symbol_database
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# Imported for their types, which appear inside `Any`.
from envoy.config.trace.v3 import opentelemetry_pb2 as _opentelemetry  # noqa: F401
from envoy.extensions.access_loggers.file.v3 import file_pb2 as _file  # noqa: F401
from envoy.extensions.filters.http.cors.v3 import cors_pb2 as _cors  # noqa: F401
from envoy.extensions.filters.http.fault.v3 import fault_pb2 as _fault  # noqa: F401
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as _grpc_stats  # noqa: F401
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2 as _buffer  # noqa: F401
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as _jwt  # noqa: F401
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2 as _rate_limit  # noqa: F401
from envoy.extensions.filters.http.lua.v3 import lua_pb2 as _lua  # noqa: F401
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as _http_rbac  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2 as _router  # noqa: F401
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2 as _proxy_protocol  # noqa: F401
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2 as _inspector  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as _hcm  # noqa: F401
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as _rbac  # noqa: F401
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2 as _tcp  # noqa: F401
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as _early  # noqa: F401
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2 as _previous  # noqa: F401
from envoy.extensions.tracers.opentelemetry.samplers.v3 import parent_based_sampler_pb2 as _parent_based  # noqa: F401
from envoy.extensions.tracers.opentelemetry.samplers.v3 import trace_id_ratio_based_sampler_pb2 as _ratio  # noqa: F401
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2 as _raw  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as _tls  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _http_options  # noqa: F401
from xds.type.v3 import typed_struct_pb2 as _typed_struct  # noqa: F401

from handsel.errors import Bug
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE

_MESSAGES: dict[str, type[Message]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
}


def serialise(type_url: str, content: dict[str, Any]) -> bytes:
    """The bytes of one resource. Raises `Bug` when `content` does not fit Envoy's API."""
    return _serialised(type_url, pickle.dumps(content))


@functools.lru_cache(maxsize=4096)
def _serialised(type_url: str, pickled: bytes) -> bytes:
    """The same of a content that can be looked up: what callers have in common is made once."""
    content = pickle.loads(pickled)  # noqa: S301  # our own, of a moment ago
    hosts = content.pop("virtualHosts", ()) if type_url == ROUTE else ()
    message = _parsed(_MESSAGES[type_url], content)
    for each in hosts:
        message.virtual_hosts.append(_virtual_host(pickle.dumps(each)))  # type: ignore[attr-defined]
    return message.SerializeToString(deterministic=True)


@functools.lru_cache(maxsize=8192)
def _virtual_host(pickled: bytes) -> Message:
    """Most of the routes of one proxy are those of another, too."""
    return _parsed(route_components_pb2.VirtualHost, pickle.loads(pickled))  # noqa: S301  # our own, too


def _parsed(kind: type[Message], content: dict[str, Any]) -> Message:
    message = kind()
    try:
        json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise Bug(f"rendered configuration does not fit Envoy's API: {error}") from error
    _make_canonical(message)
    return message


def forget() -> None:
    """Keep nothing of what was made before."""
    _serialised.cache_clear()
    _virtual_host.cache_clear()


def to_json(type_url: str, body: bytes) -> dict[str, Any]:
    """The reverse of `serialise`, for people."""
    return json_format.MessageToDict(_MESSAGES[type_url].FromString(body))


def _make_canonical(message: Message) -> None:
    """Serialise every `Any` inside again, with its maps in order."""
    if isinstance(message, any_pb2.Any):
        inner = symbol_database.Default().GetSymbol(message.TypeName())()
        inner.ParseFromString(message.value)
        _make_canonical(inner)
        message.value = inner.SerializeToString(deterministic=True)
        return
    for descriptor, value in message.ListFields():
        kind = descriptor.message_type
        if kind is None:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE:
                for each in value.values():
                    _make_canonical(each)
        elif descriptor.is_repeated:
            for each in value:
                _make_canonical(each)
        else:
            _make_canonical(value)
