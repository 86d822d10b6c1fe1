"""What gateways stand for in a mesh: which ports and routes are at which of them, and what is reached through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from handsel.model.acme_client import SECRET_NAME
from handsel.model.gateway import Gateway, GatewayPort, ServerTls, ServerTlsMode
from handsel.model.graph import External, Mesh, Service
from handsel.model.routing import MESH_GATEWAY, ConnectionMatch, RequestMatch, Routes, Target

_KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Served:
    """What a gateway workload listens for, each port with the one where it really is, and the routes there."""

    gateway: Gateway
    ports: tuple[tuple[GatewayPort, int], ...]
    routes: tuple[Routes, ...]


@dataclass(frozen=True)
class Guarded:
    """An external to which all calls go through a gateway, and who may call it."""

    external: External
    callers: tuple[Service, ...]


class Edge:
    """The gateways of a mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._balanced = {each.name: each.callees for each in mesh.balancers}

    def served(self, service: Service) -> tuple[Served, ...]:
        """What a gateway workload listens for."""
        return self._served.get(service.name, ())

    def guard_of(self, external: str) -> Service | None:
        """The egress gateway through which all calls to an external go, if there is one."""
        return self._guards.get(external)

    def guarded(self, service: Service) -> tuple[Guarded, ...]:
        """The externals to which all calls go through this gateway."""
        return self._guarded.get(service.name, ())

    def targets(self, service: Service) -> list[Target]:
        """Where a gateway's requests and connections may go."""
        found = [
            target
            for each in self.served(service)
            for routes in each.routes
            for target in targets(routes, each.gateway)
        ]
        found += [Target(each.external.name) for each in self.guarded(service)]
        return found + [Target(name) for name in self._balanced.get(service.name, ())]

    def reaching(self, callee: str) -> list[Service]:
        """The gateways and load balancers whose requests may go to a callee."""
        gateways = [each for each in self._mesh.members.values() if each.role.is_gateway]
        return [each for each in gateways if any(target.callee == callee for target in self.targets(each))]

    def peers(self, service: Service) -> list[Service]:
        """The workloads of the mesh that a gateway lets in by their identity."""
        modes = {port.tls.mode for port, _ in self.listening(service) if port.tls}
        if ServerTlsMode.MESH in modes:
            return list(self._mesh.members.values())
        return [caller for each in self.guarded(service) for caller in each.callers]

    def passes(self, service: Service) -> list[Service]:
        """The services to which connections pass with the TLS that they bring."""
        ports = [port for each in self.served(service) for port in each.gateway.ports]
        if not any(port.tls and port.tls.mode is ServerTlsMode.AUTO_PASSTHROUGH for port in ports):
            return []
        return [each for each in self._mesh.members.values() if each.role.has_inbound]

    def listening(self, service: Service) -> list[tuple[GatewayPort, int]]:
        """The ports of a gateway, each with the one where it really is."""
        return [each for served in self.served(service) for each in served.ports]

    def credentials(self, service: Service, others: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The credentials that a proxy shows or believes, each with the unit in which its host gets it.

        `others`: those of what it calls.
        """
        ports = [*service.exposes, *(port for port, _ in self.listening(service))]
        names = {name for port in ports if port.tls for name in _named(port.tls)} | {name for name in others if name}
        if service.acme:
            names.discard(SECRET_NAME)
        return tuple((name, self._unit(name, service.namespace)) for name in sorted(names))

    @cached_property
    def _guarded(self) -> dict[str, tuple[Guarded, ...]]:
        mesh = self._mesh
        found: dict[str, tuple[Guarded, ...]] = {}
        for name, guard in self._guards.items():
            callers = tuple(each for each in mesh.members.values() if name in each.calls)
            found[guard.name] = (*found.get(guard.name, ()), Guarded(mesh.externals[name], callers))
        return found

    @cached_property
    def _served(self) -> dict[str, tuple[Served, ...]]:
        found: dict[str, tuple[Served, ...]] = {}
        for service in self._mesh.members.values():
            if service.role.is_gateway:
                here = [each for each in self._mesh.gateways if service.has_labels(each.selector)]
                found[service.name] = tuple(
                    Served(each, self._ports_at(service, each), self._routes_at(service, each)) for each in here
                )
        return found

    def _ports_at(self, service: Service, gateway: Gateway) -> tuple[tuple[GatewayPort, int], ...]:
        """A Service of Kubernetes before a gateway has the ports that Gateways name, and knows to which they lead."""
        groups = [each for each in self._mesh.groups.values() if service.name in each.services]
        places = {each.port: each.port_of(service.name) or each.port for each in groups} | dict(service.listens)
        return tuple((port, places.get(port.number, port.number)) for port in gateway.ports)

    def _routes_at(self, service: Service, gateway: Gateway) -> tuple[Routes, ...]:
        return tuple(
            each
            for each in self._mesh.routes
            if names_gateway(each.gateways, gateway, each.namespace) and sees(service, each.namespace, each.visible_to)
        )

    @cached_property
    def _guards(self) -> dict[str, Service]:
        return {
            name: service
            for service in self._mesh.members.values()
            for each in self._served.get(service.name, ())
            for name in each.gateway.guards
            if name in self._mesh.externals
        }

    def _unit(self, name: str, namespace: str) -> str:
        """Secrets of Kubernetes go before those of `handsel secret`; Istio looks in the namespace of the proxy."""
        bare = name.removeprefix(f"{_KUBERNETES}://")
        said, slash, last = bare.rpartition("/")
        for each in (said,) if slash else (namespace, self._mesh.root_namespace):
            if (each, last) in self._known:
                return unit_of(each, last)
        return unit_of(said, last) if slash else bare

    @cached_property
    def _known(self) -> frozenset[tuple[str, str]]:
        return frozenset((each.namespace, each.name) for each in self._mesh.credentials)


def unit_of(namespace: str, name: str) -> str:
    """Under which name of a group a Secret of Kubernetes is delivered."""
    return f"{_KUBERNETES}.{namespace}.{name}"


def names_gateway(names: Iterable[str], gateway: Gateway, namespace: str) -> bool:
    """Whether a gateway is among those that are named in a namespace, as `namespace/name` or by its name alone."""
    return f"{gateway.namespace}/{gateway.name}" in names or (gateway.namespace == namespace and gateway.name in names)


def sees(caller: Service, namespace: str, visible_to: tuple[str, ...]) -> bool:
    """Whether what is said in a namespace is visible to a caller (Istio's `exportTo`: `*`, `.`, or namespaces)."""
    if not visible_to or "*" in visible_to:
        return True
    return caller.namespace in visible_to or ("." in visible_to and caller.namespace == namespace)


def targets(routes: Routes | None, gateway: Gateway | None = None) -> list[Target]:
    """Every target of the rules that hold at a gateway, None: at sidecars; mirrors too."""
    if routes is None:
        return []
    http = [rule for rule in routes.http if _holds(rule.matches, routes, gateway)]
    found = [target for rule in http for target in rule.to]
    found += [Target(each.callee, each.subset) for rule in http for each in rule.mirrors]
    connections = [each for each in (*routes.tls, *routes.tcp) if _holds(each.matches, routes, gateway)]
    return [*found, *(target for each in connections for target in each.to)]


def _holds(matches: Sequence[RequestMatch | ConnectionMatch], routes: Routes, gateway: Gateway | None) -> bool:
    """Whether a rule is for a gateway, None: for sidecars."""
    return not matches or any(
        not each.gateways
        or (names_gateway(each.gateways, gateway, routes.namespace) if gateway else MESH_GATEWAY in each.gateways)
        for each in matches
    )


def _named(tls: ServerTls) -> Iterator[str]:
    yield from (each.credential for each in tls.certificates if each.credential)
    if tls.ca_credential:
        yield tls.ca_credential
