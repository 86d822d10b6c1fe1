"""What the plan of one proxy is made from, and nothing else: as long as its view is the same, so is its plan.

That is what makes compiling after a change cheap: views are compared, and only what has another one is made anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

from handsel.link.report import WorkloadReport
from handsel.model.access import PeerMode, Policy, Tokens
from handsel.model.graph import Callee, External, Group, Mesh, Service
from handsel.model.routing import MESH_GATEWAY, Routes, Target
from handsel.model.traffic import Traffic, TrafficPolicy
from handsel.pki.names import TrustDomain

Places = Mapping[str, Mapping[str, WorkloadReport]]
"""What each host reported, by host and service."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Seat:
    """What the agent chose for a workload: the part of its report on which configuration depends."""

    address: str
    application_port: int
    mesh_port: int
    proxy_port: int
    access_log: str
    callee_ports: tuple[tuple[str, int], ...]
    callee_addresses: tuple[tuple[str, str], ...]
    more_ports: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Reached:
    """A cluster before it has a shape: a callee or a subset of it, who answers, where, and how it is spoken to.

    `services`: those of the mesh that answer; none for what is outside.
    """

    name: str
    callee: Callee
    services: tuple[Service, ...]
    endpoints: tuple[Address, ...]
    policy: TrafficPolicy


@dataclass(frozen=True)
class Called:
    """A callee of a workload: its loopback port and address there, and the rules for requests to it, if any."""

    callee: Callee
    port: int
    address: str
    routes: Routes | None


@dataclass(frozen=True)
class View:
    """Everything on which one proxy's configuration depends."""

    trust_domain: TrustDomain
    service: Service
    seat: Seat
    callers: tuple[Service, ...]
    called: tuple[Called, ...]
    reached: tuple[Reached, ...]
    policies: tuple[Policy, ...]
    modes: tuple[PeerMode, ...]
    tokens: tuple[Tokens, ...]
    mesh: Usual
    withdrawn: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Usual:
    """What holds for the whole mesh."""

    requests_seen: bool
    root_namespace: str
    identities: tuple[Service, ...] = ()


class Scope:
    """The views of a mesh at one moment. `withdrawn`: the identities of which a certificate was revoked."""

    def __init__(self, mesh: Mesh, places: Places, withdrawn: Mapping[str, int]) -> None:
        self._mesh = mesh
        self._members = mesh.members
        self._places = places
        self._withdrawn = withdrawn
        self._usual = Usual(mesh.requests_seen, mesh.root_namespace)
        self._traffic: dict[str, list[Traffic]] = defaultdict(list)
        for rule in mesh.traffic:
            for callee in rule.callees:
                self._traffic[callee].append(rule)
        self._routes: dict[str, list[Routes]] = defaultdict(list)
        for routes in mesh.routes:
            if MESH_GATEWAY in routes.gateways:
                for callee in routes.callees:
                    self._routes[callee].append(routes)

    @cached_property
    def workloads(self) -> tuple[tuple[str, str], ...]:
        """Every workload that has a place, as (host, service), in order."""
        return tuple(
            (host, name)
            for host, workloads in sorted(self._places.items())
            for name in sorted(workloads)
            if name in self._members
        )

    def view(self, host: str, name: str) -> View:
        """The view of a workload on a host."""
        service = self._members[name]
        seat = _seat(self._places[host][name])
        called = tuple(self._called(service, seat))
        reached = tuple(self._reached(service, called))
        callers = self._callers.get(name, ()) if service.guarded else ()
        return View(
            self._mesh.trust_domain,
            service,
            seat,
            tuple(callers),
            called,
            reached,
            tuple(each for each in self._mesh.policies if self._holds(each, service)),
            tuple(each for each in self._mesh.modes if self._holds(each, service)),
            tuple(each for each in self._mesh.tokens if self._holds(each, service)),
            self._usual,
            self._withdrawn_of(service, callers, reached),
        )

    @cached_property
    def _callers(self) -> dict[str, list[Service]]:
        """Who may call each service: by its name, a group's, or through a route that leads to it."""
        callers: dict[str, dict[str, Service]] = defaultdict(dict)
        for caller in self._members.values():
            for name in caller.calls:
                for service in self._behind(caller, name):
                    callers[service][caller.name] = caller
        return {name: list(found.values()) for name, found in callers.items()}

    def _behind(self, caller: Service, name: str) -> Iterable[str]:
        """The services that requests to a callee may reach."""
        routes = self._routes_of(caller, name)
        targets = {name, *(target.callee for target in _targets(routes))}
        for target in targets:
            callee = self._mesh.callee(target)
            if isinstance(callee, Group):
                yield from callee.services
            elif isinstance(callee, Service):
                yield callee.name

    @cached_property
    def _endpoints(self) -> dict[tuple[str, int], tuple[Address, ...]]:
        """Where each service's port is reached, by service and the port of its program (0: the main one)."""
        found: dict[tuple[str, int], list[Address]] = defaultdict(list)
        for host, name in self.workloads:
            report = self._places[host][name]
            if self._members[name].role.is_gateway:
                continue
            found[name, 0].append((report.address, report.mesh_port))
            for port, mesh_port in report.more_ports.items():
                found[name, port].append((report.address, mesh_port))
        return {key: tuple(addresses) for key, addresses in found.items()}

    def _called(self, service: Service, seat: Seat) -> Iterable[Called]:
        ports, addresses = dict(seat.callee_ports), dict(seat.callee_addresses)
        for name in service.calls:
            callee = self._mesh.callee(name)
            if callee is not None and name in ports:  # else the agent has not chosen one yet; its next report brings it
                yield Called(callee, ports[name], addresses.get(name, ""), self._routes_of(service, name))

    def _reached(self, service: Service, called: tuple[Called, ...]) -> Iterable[Reached]:
        wanted: dict[tuple[str, str], None] = {}
        for each in called:
            wanted[each.callee.name, ""] = None
            for target in _targets(each.routes):
                wanted[target.callee, target.subset] = None
        for name, subset in wanted:
            callee = self._mesh.callee(name)
            if callee is not None:
                yield self._cluster(service, callee, subset)

    def _cluster(self, caller: Service, callee: Callee, subset: str) -> Reached:
        rule = self.traffic_of(caller, callee)
        chosen = next((each for each in rule.subsets if each.name == subset), None) if rule else None
        labels = chosen.labels if chosen else ()
        services = tuple(each for each in self._services(callee) if each.has_labels(labels))
        port = callee.target_port if isinstance(callee, Group) else 0
        endpoints = tuple(address for each in services for address in self._endpoints.get((each.name, port), ()))
        written = _written(callee)
        policy = rule.at(written) if rule else TrafficPolicy()
        if chosen:
            policy = over(policy, dict(chosen.ports).get(written, chosen.policy))
        return Reached(cluster_name(callee.name, subset), callee, services, endpoints, policy)

    def _services(self, callee: Callee) -> list[Service]:
        if isinstance(callee, Group):
            return [self._members[each] for each in callee.services if each in self._members]
        return [callee] if isinstance(callee, Service) else []

    def traffic_of(self, caller: Service, callee: Callee) -> Traffic | None:
        """The rule for a callee that holds for this caller: of its own namespace, of the callee's, of the mesh's."""
        rules = [
            each
            for each in self._traffic.get(callee.name, ())
            if caller.has_labels(each.selector) and _sees(caller, each.namespace, each.visible_to)
        ]
        for namespace in (caller.namespace, callee.namespace, self._mesh.root_namespace):
            here = [each for each in rules if each.namespace == namespace]
            if here:
                return next((each for each in here if each.selector), here[0])
        return None

    def _routes_of(self, caller: Service, callee: str) -> Routes | None:
        found = self._routes.get(callee, ())
        return next((each for each in found if _sees(caller, each.namespace, each.visible_to)), None)

    def _holds(self, said: PeerMode | Policy | Tokens, service: Service) -> bool:
        """Whether a policy is for this workload: of its namespace, or of the whole mesh."""
        everywhere = said.namespace in ("", self._mesh.root_namespace)
        return (everywhere or said.namespace == service.namespace) and service.has_labels(said.selector)

    def _withdrawn_of(
        self, service: Service, callers: Iterable[Service], reached: Iterable[Reached]
    ) -> tuple[tuple[str, int], ...]:
        if not self._withdrawn:
            return ()
        peers = [*callers, *(each for cluster in reached for each in cluster.services)]
        if not service.guarded:
            peers += self._members.values()
        known = {str(each.identity) for each in peers}
        return tuple(sorted((name, number) for name, number in self._withdrawn.items() if name in known))


def cluster_name(callee: str, subset: str) -> str:
    """The name of the cluster of a callee, or of a subset of it. No callee has a dot in its name."""
    return f"{callee}.{subset}" if subset else callee


def over(below: TrafficPolicy, above: TrafficPolicy) -> TrafficPolicy:
    """Field by field, what `above` says, and where it says nothing what `below` does (a subset's policy)."""
    said = {each.name: getattr(above, each.name) for each in fields(above)}
    return replace(below, **{name: value for name, value in said.items() if value is not None})


def _written(callee: Callee) -> int:
    """The port that programs write for a callee: that by which rules go."""
    return callee.plain_port if isinstance(callee, External) else callee.port


def _sees(caller: Service, namespace: str, visible_to: tuple[str, ...]) -> bool:
    """Whether what is said in a namespace is visible to a caller (Istio's `exportTo`: `*`, `.`, or namespaces)."""
    if not visible_to or "*" in visible_to:
        return True
    return caller.namespace in visible_to or ("." in visible_to and caller.namespace == namespace)


def _targets(routes: Routes | None) -> list[Target]:
    """Every target of the rules, mirrors too."""
    if routes is None:
        return []
    rules = [*routes.http]
    found = [target for rule in rules for target in rule.to]
    found += [Target(each.callee, each.subset) for rule in rules for each in rule.mirrors]
    return [*found, *(target for connection in (*routes.tls, *routes.tcp) for target in connection.to)]


def _seat(report: WorkloadReport) -> Seat:
    return Seat(
        report.address,
        report.application_port,
        report.mesh_port,
        report.proxy_port,
        report.access_log,
        tuple(sorted(report.callee_ports.items())),
        tuple(sorted(report.callee_addresses.items())),
        tuple(sorted(report.more_ports.items())),
    )
