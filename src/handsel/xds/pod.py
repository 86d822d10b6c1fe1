"""A proxy's listeners in a pod: every connection from outside comes to one port and is handed to the one it was for.

`use_original_dst` of Envoy's `Listener`: what was redirected (SO_ORIGINAL_DST), or taken transparently, goes to the
listener of the address that the client meant, which therefore need not be bound.
"""

from __future__ import annotations

from functools import lru_cache

from envoy.config.listener.v3 import listener_pb2

from handsel.xds.resources import LISTENER, Resource, resource

DOOR = "pod"
_INBOUND = "inbound"


@lru_cache(maxsize=1024)
def captured(each: Resource) -> Resource:
    """The resource as it is where connections are captured: mesh ports are not bound; all else is the same."""
    if each.type_url != LISTENER or each.name.partition(".")[0] != _INBOUND:
        return each
    message = listener_pb2.Listener.FromString(each.body)
    message.bind_to_port.value = False
    return resource(each.type_url, each.name, message.SerializeToString(deterministic=True))


@lru_cache(maxsize=8)
def door(port: int, *, six: bool, transparent: bool) -> Resource:
    """The listener to which all are led. What no listener is there for is closed before a byte of it is read."""
    message = listener_pb2.Listener(name=DOOR, stat_prefix=DOOR)
    place = message.address.socket_address
    place.address, place.port_value, place.ipv4_compat = ("::" if six else "0.0.0.0"), port, six  # noqa: S104
    message.use_original_dst.value = True
    message.enable_reuse_port.value = False
    if transparent:
        message.transparent.value = True
    message.filter_chains.add()
    return resource(LISTENER, DOOR, message.SerializeToString(deterministic=True))
