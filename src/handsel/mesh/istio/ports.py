"""The ports of Services and entries, as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import PORT_PROTOCOL
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources import kubernetes
from handsel.mesh.istio.resources.protocols import PROTOCOLS, by_port_name
from handsel.mesh.istio.resources.service_entry import ServiceEntrySpec
from handsel.model.graph import Protocol

_APPLICATION = {"kubernetes.io/h2c": "HTTP2", "kubernetes.io/ws": "HTTP", "kubernetes.io/wss": "HTTPS"}


@dataclass(frozen=True)
class Written:
    """A port. `target`: where endpoints listen, a number or the name that a workload has for it."""

    number: int
    name: str
    protocol: Protocol
    written: str
    target: int | str
    path: Path
    by_name: bool = False
    """Whether a workload's own port of this name goes before the target (a ServiceEntry)."""

    def target_at(self, named: Mapping[str, int]) -> int | None:
        """Where a workload listens that has these names for its ports."""
        if self.by_name and self.name in named:
            return named[self.name]
        return self.target if isinstance(self.target, int) else named.get(self.target)


def ports_of_entry(spec: ServiceEntrySpec) -> list[Written]:
    """The ports of a ServiceEntry."""
    return [
        Written(
            port.number,
            port.name,
            PROTOCOLS[port.protocol],
            port.protocol,
            port.target,
            ("spec", "ports", index),
            by_name=True,
        )
        for index, port in enumerate(spec.ports)
    ]


def ports_of_service(reading: Reading, found: Found[kubernetes.Service]) -> Sequence[Written]:
    """The TCP ports of a Kubernetes Service. What says no protocol is carried as bytes: nothing is guessed."""
    ports = []
    for index, port in enumerate(found.resource.spec.ports or ()):
        path: Path = ("spec", "ports", index)
        if port.protocol not in (None, "TCP"):
            reading.findings.add(found, path, PORT_PROTOCOL, f"port {port.port} is {port.protocol}: not of the mesh")
            continue
        written = _written(port)
        if written is None:
            text = f"port {port.port} says no protocol, so its bytes are carried as they are"
            reading.findings.add(found, path, PORT_PROTOCOL, text)
        protocol = PROTOCOLS[written or "TCP"]
        name = port.name or str(port.port)
        ports.append(Written(port.port, name, protocol, written or "", port.target_port or port.port, path))
    return ports


def _written(port: kubernetes.KubernetesPort) -> str | None:
    """What a port is said to speak: `appProtocol`, else the beginning of its name."""
    if port.app_protocol:
        said = _APPLICATION.get(port.app_protocol, port.app_protocol.upper())
        return said if said in PROTOCOLS else None
    return by_port_name(port.name or "")
