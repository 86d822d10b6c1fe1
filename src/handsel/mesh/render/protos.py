"""Envoy's JSON form to protobuf bytes, the same bytes for the same content on every machine."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import any_pb2, json_format, symbol_database
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# Imported for their types, which appear inside `Any`.
from envoy.extensions.access_loggers.file.v3 import file_pb2 as _file  # noqa: F401
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as _http_rbac  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2 as _router  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as _hcm  # noqa: F401
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as _rbac  # noqa: F401
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2 as _tcp  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as _tls  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _http_options  # noqa: F401

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
    message = _MESSAGES[type_url]()
    try:
        json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise Bug(f"rendered configuration does not fit Envoy's API: {error}") from error
    _make_canonical(message)
    return message.SerializeToString(deterministic=True)


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
