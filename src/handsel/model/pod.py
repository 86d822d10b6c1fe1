"""The sidecar's places in a pod of Kubernetes, where injected rules and agent meet. Ports and words are Istio's."""

from __future__ import annotations

from enum import StrEnum


class Interception(StrEnum):
    """How connections of a pod get to its sidecar."""

    REDIRECT = "REDIRECT"
    TPROXY = "TPROXY"
    NONE = "NONE"


OUTBOUND_PORT = 15001
"""Where a pod's connections to other hosts end up."""
INBOUND_PORT = 15006
"""Where connections from other hosts do, whatever port they are for."""
TUNNEL_PORT = 15008
STATUS_PORT = 15020
"""HTTP: the probes and hooks of the pod's programs."""
HEALTH_PORT = 15021
"""HTTP: whether the sidecar is ready."""
DNS_PORT = 15053
"""Where a pod's questions about names end up."""
SIDECAR_PORTS = (OUTBOUND_PORT, INBOUND_PORT, TUNNEL_PORT, STATUS_PORT, HEALTH_PORT, DNS_PORT)
SIDECAR_USER = 1337
"""The sidecar's user and group."""
