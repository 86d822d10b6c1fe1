"""Hosts as rules name them, and the callees of the graph behind their ports.

A host without a dot is one of the rule's own namespace, `reviews.NAMESPACE.svc.cluster.local`. Any other is taken as
it is written (Istio's `ResolveShortnameToFQDN`). Rules go by the port that programs write, not by that of endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from handsel.mesh.istio.resources.protocols import ENCRYPTED
from handsel.model.access import Labels
from handsel.model.faults import did_you_mean
from handsel.model.graph import External, Protocol, Service
from handsel.model.included import Around
from handsel.model.origin import NOWHERE, Origin

CLUSTER = "svc.cluster.local"
ANY = 0
"""The port of a service of the mesh file, which is called by its name."""


@dataclass(frozen=True)
class KnownPort:
    """A port that programs write, and its callee. `target`: where endpoints listen; `written`: Istio's word."""

    number: int
    callee: str
    protocol: Protocol
    target: int = 0
    written: str = ""

    @property
    def is_encrypted(self) -> bool:
        """Whether programs speak TLS themselves."""
        return self.written in ENCRYPTED


@dataclass(frozen=True)
class KnownHost:
    """A host that something declares. `behind`: the labels of what stands there, one a workload or an endpoint.

    `subject` names what declares it; `native`: the mesh file does. `visible_to`: namespaces, empty: all.
    """

    name: str
    namespace: str
    ports: tuple[KnownPort, ...]
    subject: str
    behind: tuple[Labels, ...] = ()
    visible_to: tuple[str, ...] = ()
    outside: bool = False
    native: bool = False
    origin: Origin = NOWHERE

    def port(self, number: int) -> KnownPort | None:
        """Its port of this number."""
        return next((each for each in self.ports if each.number in (number, ANY)), None)

    def is_visible_in(self, namespace: str) -> bool:
        """Whether workloads of a namespace see it (`exportTo`)."""
        if not self.visible_to or "*" in self.visible_to:
            return True
        return namespace in self.visible_to or ("." in self.visible_to and namespace == self.namespace)


def full_name(host: str, namespace: str) -> str:
    """The host as it is known: a name without a dot is one of this namespace."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.{CLUSTER}"


def fits(pattern: str, host: str) -> bool:
    """Whether a name, `*.example.com` or `*` has this host; a host may be such a pattern itself."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1


class Hosts:
    """All hosts that are known."""

    def __init__(self, known: Iterable[KnownHost]) -> None:
        self._known: dict[str, KnownHost] = {}
        for host in known:
            first = self._known.get(host.name)
            self._known[host.name] = _together(first, host) if first else host

    def all(self) -> Sequence[KnownHost]:
        """In the order in which they were declared."""
        return tuple(self._known.values())

    def find(self, written: str, namespace: str) -> KnownHost | None:
        """The host that a rule of a namespace means."""
        return self._known.get(full_name(written, namespace)) or self._known.get(written)

    def matching(self, written: str, namespace: str) -> Sequence[KnownHost]:
        """The hosts that a name or a pattern means."""
        if written.startswith("*"):
            return [each for name, each in self._known.items() if fits(written, name)]
        found = self.find(written, namespace)
        return [found] if found else []

    def hint(self, written: str) -> str:
        """`, did you mean "…"?`, or nothing."""
        hint = did_you_mean(written, self._known)
        return f", {hint}" if hint else ""


def _together(one: KnownHost, other: KnownHost) -> KnownHost:
    """Two entries may declare ports of one host."""
    numbers = {each.number for each in one.ports}
    more = tuple(each for each in other.ports if each.number not in numbers)
    return replace(one, ports=(*one.ports, *more), behind=(*one.behind, *other.behind))


def native_hosts(around: Around) -> list[KnownHost]:
    """The hosts of the mesh file: a service is called by its name, at whatever port."""
    found = [_of_service(each) for each in around.services if each.sidecar and not each.role.is_gateway]
    found += [_of_gateway(each) for each in around.services if each.role.is_gateway and each.more_ports]
    return [*found, *(_of_external(each) for each in around.externals)]


def _of_service(service: Service) -> KnownHost:
    port = KnownPort(ANY, service.name, service.protocol, service.port)
    name = f"{service.name}.{service.namespace}.{CLUSTER}"
    return KnownHost(
        name, service.namespace, (port,), f"service {service.name!r}", (service.labels,), native=True,
        origin=service.origin,
    )  # fmt: skip


def _of_gateway(service: Service) -> KnownHost:
    """By the ports that Istio's Gateways name."""
    ports = [
        KnownPort(each.number, f"{service.name}-{each.name}", each.protocol, each.number) for each in service.more_ports
    ]
    name = f"{service.name}.{service.namespace}.{CLUSTER}"
    return KnownHost(
        name, service.namespace, tuple(ports), f"gateway {service.name!r}", (service.labels,), native=True,
        origin=service.origin,
    )  # fmt: skip


def _of_external(external: External) -> KnownHost:
    port = KnownPort(external.plain_port, external.name, external.protocol, external.port)
    return KnownHost(
        external.host, external.namespace, (port,), f"external {external.name!r}", outside=True, native=True,
        origin=external.origin,
    )  # fmt: skip
