"""Endpoints of a cluster as a resource of EDS."""

from __future__ import annotations

from envoy.config.endpoint.v3 import endpoint_pb2

from handsel.xds.resources import ENDPOINT, Resource, resource


def one_endpoint(cluster: str, address: str, port: int) -> Resource:
    """A cluster whose only endpoint is this address."""
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    place = message.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    place.address, place.port_value = address, port
    return resource(ENDPOINT, cluster, message.SerializeToString(deterministic=True))
