"""A proxy's resources for a program in a network namespace of its own.

The proxy itself stays outside. Only what the program meets is put inside: the listeners that it calls, and the way to
its own ports. `network_namespace_filepath` of Envoy's `SocketAddress`, measured on 1.40 for both.
"""

from __future__ import annotations

from functools import lru_cache

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_pb2

from handsel.xds.resources import CLUSTER, LISTENER, Resource, resource

# What the program calls, and what calls the program. Anything else stays outside, where the program cannot reach it.
_PROXY, _CALLED = "proxy", ("outbound.", "name.")
_CALLING = "_application"
_LOOPBACK = "127.0.0.1"


@lru_cache(maxsize=4096)
def within(each: Resource, path: str, ports: frozenset[int]) -> Resource:
    """The resource as it is for a program in the network namespace at `path`, with these ports; most are the same."""
    if each.type_url == LISTENER and (each.name == _PROXY or each.name.startswith(_CALLED)):
        return _listener(each, path)
    if each.type_url == CLUSTER and each.name.startswith(_CALLING):
        return _cluster(each, path, ports)
    return each


def _listener(each: Resource, path: str) -> Resource:
    message = listener_pb2.Listener.FromString(each.body)
    places = [message.address, *(more.address for more in message.additional_addresses)]
    if not all(place.socket_address.address.startswith("127.") for place in places):
        return each
    for place in places:
        place.socket_address.network_namespace_filepath = path
    return resource(each.type_url, each.name, message.SerializeToString(deterministic=True))


def _cluster(each: Resource, path: str, ports: frozenset[int]) -> Resource:
    message = cluster_pb2.Cluster.FromString(each.body)
    places = [host.endpoint.address for group in message.load_assignment.endpoints for host in group.lb_endpoints]
    if not all(_is_own(place.socket_address, ports) for place in places):
        return each  # an adapter's, which stands before somebody else
    source = message.upstream_bind_config.source_address
    source.address, source.port_value, source.network_namespace_filepath = _LOOPBACK, 0, path
    return resource(each.type_url, each.name, message.SerializeToString(deterministic=True))


def _is_own(place: address_pb2.SocketAddress, ports: frozenset[int]) -> bool:
    return bool(place.address == _LOOPBACK and place.port_value in ports)
