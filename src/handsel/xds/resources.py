"""xDS resources as bytes with a content hash, in the order in which Envoy must learn of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

_PREFIX = "type.googleapis.com/"

CLUSTER = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = _PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

ADDING_ORDER = (SECRET, CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""What a resource refers to comes before it (xDS protocol, "Eventual consistency considerations")."""


@dataclass(frozen=True)
class Resource:
    """A resource as Envoy gets it: `body` is the serialised message without its `Any`; `version` is its hash."""

    type_url: str
    name: str
    body: bytes = field(repr=False)
    version: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.type_url, self.name)


def resource(type_url: str, name: str, body: bytes) -> Resource:
    """A resource whose version is the BLAKE2 hash of its bytes: equal content, equal version, everywhere."""
    return Resource(type_url, name, body, hashlib.blake2b(body, digest_size=12).hexdigest())
