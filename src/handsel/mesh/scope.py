"""The views of a mesh: of each of its proxies, everything on which its plan depends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from handsel.link.report import WorkloadReport
from handsel.mesh.access.holds import Holding
from handsel.mesh.access.keys import key_cluster, key_place
from handsel.mesh.access.moving import Step, Steps, goal
from handsel.mesh.edge import Edge, targets
from handsel.mesh.edge import sees as _sees
from handsel.mesh.intent import EDGE_TLS, EXTERNAL_TLS, MESH_TLS, tuned
from handsel.mesh.view import (
    Address,
    Called,
    Reached,
    Seat,
    Usual,
    View,
    cluster_name,
    credential_of,
    for_port,
    over,
    passing_name,
    seat_of,
    written_ports,
)
from handsel.model.access import Labels, Mode, Tokens
from handsel.model.gateway import GatewayPort
from handsel.model.graph import Callee, External, Group, Mesh, Service
from handsel.model.routing import MESH_GATEWAY, Routes
from handsel.model.traffic import ClientTls, TlsMode, Traffic, TrafficPolicy

Places = Mapping[str, Mapping[str, WorkloadReport]]
"""What each host reported, by host and service."""

_AS_IT_IS = TrafficPolicy(tls=ClientTls(TlsMode.DISABLE))
_NOBODY: Labels = (("", ""),)
"""Labels that nothing has."""


class Scope:
    """The views of a mesh at one moment.

    `withdrawn`: the identities of which a certificate was revoked. `steps`: ports on their way to another mode.
    """

    def __init__(self, mesh: Mesh, places: Places, withdrawn: Mapping[str, int], steps: Steps | None = None) -> None:
        self._mesh = mesh
        self._members = mesh.members
        self._places = places
        self._withdrawn = withdrawn
        self._edge = Edge(mesh)
        self._holding = Holding(mesh)
        self._steps = steps or {}
        self._clusters: dict[tuple[str, str, int, bool], Reached] = {}
        self._targets: dict[int, dict[tuple[str, str], None]] = {}
        self._seen: dict[tuple[str, str], tuple[Routes | None, tuple[str, ...]]] = {}
        self._balancers = {each.name: each for each in mesh.balancers}
        said = mesh.tls
        self._usual = Usual(
            mesh.requests_seen,
            mesh.root_namespace,
            mesh.telemetry.tracing,
            tuned(MESH_TLS, groups=said.within),
            tuned(EXTERNAL_TLS, said.minimum, said.ciphers, said.groups),
            tuned(EDGE_TLS, said.minimum, said.ciphers, said.groups),
        )
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
        seat = seat_of(self._places[host][name])
        called = tuple(self._called(service, seat))
        reached = tuple(self._reached(service, called))
        guarded = self._edge.guarded(service)
        callers = self._callers.get(name, ()) if service.guarded else ()
        policies, tokens = self._holding.policies(service), self._holding.tokens(service)
        known = self._holding.identities if policies else ()
        return View(
            self._mesh.trust_domain,
            service,
            seat,
            tuple(callers),
            called,
            reached,
            policies,
            self._modes(service),
            tokens,
            known,
            tuple(self._keys_of(service, tokens)),
            self._usual,
            self._withdrawn_of(
                service,
                [*(callers if not known else self._members.values()), *self._edge.peers(service)],
                reached,
            ),
            self._edge.served(service),
            guarded,
            self._edge.credentials(service, map(credential_of, reached)),
            self._balancers.get(name),
            any(each.role.is_gateway for each in self._callers.get(name, ())),
        )

    def callers_of(self, service: str) -> tuple[Service, ...]:
        """Who may call a service."""
        return tuple(self._callers.get(service, ()))

    def rules(self, caller: Service, name: str) -> Routes | None:
        """The rules for requests of this caller to a callee, if there are any."""
        return self._seen_by(caller, name)[0]

    def services_of(self, caller: Service, name: str, subset: str) -> tuple[Service, ...]:
        """The services that answer for a callee, or for a subset of it."""
        callee = self._mesh.callee(name)
        return self._cluster(caller, callee, subset).services if callee is not None else ()

    @cached_property
    def _callers(self) -> dict[str, list[Service]]:
        """Who may call each service: by its name, a group's, or through a route that leads to it."""
        callers: dict[str, dict[str, Service]] = defaultdict(dict)
        for caller in self._members.values():
            for name in caller.calls:
                for service in self._seen_by(caller, name)[1]:
                    callers[service][caller.name] = caller
            for target in self._edge.targets(caller):
                for service in self._answering(target.callee):
                    callers[service][caller.name] = caller
        return {name: list(found.values()) for name, found in callers.items()}

    def _seen_by(self, caller: Service, name: str) -> tuple[Routes | None, tuple[str, ...]]:
        """The rules for requests to a callee, and the services that these may reach: alike in a whole namespace."""
        key = caller.namespace, name
        if key not in self._seen:
            said = self._routes.get(name, ())
            routes = next((each for each in said if _sees(caller, each.namespace, each.visible_to)), None)
            reached = dict.fromkeys((name, *(target for target, _ in self._targets_of(routes))))
            self._seen[key] = routes, tuple(service for each in reached for service in self._answering(each))
        return self._seen[key]

    def _answering(self, name: str) -> Iterable[str]:
        callee = self._mesh.callee(name)
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
                doors = self._edge.listening(self._members[name])
                first = (
                    [report.mesh_port] if self._edge.guarded(self._members[name]) else [port for _, port in doors[:1]]
                )
                found[name, 0] += [(report.address, port) for port in first]
                for number, port in dict.fromkeys(pair for door, at in doors for pair in ((door.number, at), (at, at))):
                    found[name, number].append((report.address, port))
                continue
            for number in dict.fromkeys((0, self._members[name].port)):
                found[name, number].append((report.address, report.mesh_port))
            for port, mesh_port in report.more_ports.items():
                found[name, port].append((report.address, mesh_port))
        return {key: tuple(addresses) for key, addresses in found.items()}

    def _called(self, service: Service, seat: Seat) -> Iterable[Called]:
        ports, addresses = dict(seat.callee_ports), dict(seat.callee_addresses)
        for name in service.calls:
            callee = self._mesh.callee(name)
            if callee is not None and name in ports:  # else the agent has not chosen one yet; its next report brings it
                yield Called(callee, ports[name], addresses.get(name, ""), self._seen_by(service, name)[0])

    def _reached(self, service: Service, called: tuple[Called, ...]) -> Iterable[Reached]:
        wanted: dict[tuple[str, str], None] = {}
        for each in called:
            wanted[each.callee.name, ""] = None
            wanted |= self._targets_of(each.routes)
        for target in self._edge.targets(service):
            wanted[target.callee, target.subset] = None
        for name, subset in wanted:
            callee = self._mesh.callee(name)
            if callee is not None:
                yield self._cluster(service, callee, subset)
        for passed in self._edge.passes(service):
            at = self._endpoints.get((passed.name, 0), ())
            yield Reached(passing_name(passed.name), passed, (), at, _AS_IT_IS)

    def _targets_of(self, routes: Routes | None) -> dict[tuple[str, str], None]:
        """The callees and subsets to which rules lead, each once."""
        if id(routes) not in self._targets:
            self._targets[id(routes)] = {(each.callee, each.subset): None for each in targets(routes)}
        return self._targets[id(routes)]

    def _cluster(self, caller: Service, callee: Callee, subset: str) -> Reached:
        """One for all callers for whom the same rule holds."""
        rule, services = self.traffic_of(caller, callee), self._services(caller, callee)
        key = callee.name, subset, id(rule), bool(services)
        if key not in self._clusters:
            self._clusters[key] = self._made(callee, subset, rule, services)
        return self._clusters[key]

    def _made(self, callee: Callee, subset: str, rule: Traffic | None, answering: Iterable[Service]) -> Reached:
        chosen = next((each for each in rule.subsets if each.name == subset), None) if rule else None
        labels = chosen.labels if chosen else ()
        known = not subset or chosen is not None  # nobody is of a subset that nothing declares
        services = tuple(each for each in answering if known and each.has_labels(labels))
        at = [(each, callee.port_of(each.name) if isinstance(callee, Group) else 0) for each in services]
        found = [(*each, address) for each in at for address in self._endpoints.get((each[0].name, each[1]), ())]
        ports = written_ports(callee)
        policy = for_port(rule.ports, ports, rule.policy) if rule else TrafficPolicy()
        if chosen:
            policy = over(policy, for_port(chosen.ports, ports, chosen.policy))
        endpoints = tuple(address for _, _, address in found)
        plain = tuple(address for each, port, address in found if self._step(each, port).plaintext)
        door = next((door for each, port in at for door in self._doors(each, port)), None)
        of_outside = labels if known else _NOBODY
        return Reached(cluster_name(callee.name, subset), callee, services, endpoints, policy, plain, door, of_outside)

    def _doors(self, service: Service, port: int) -> list[GatewayPort]:
        """The ports of a gateway that have this number; 0: any."""
        return [door for door, at in self._edge.listening(service) if port in (0, door.number, at)]

    def _services(self, caller: Service, callee: Callee) -> list[Service]:
        if isinstance(callee, External):
            guard = self._edge.guard_of(callee.name)
            return [guard] if guard and guard.name != caller.name else []
        if isinstance(callee, Group):
            return [self._members[each] for each in callee.services if each in self._members]
        return [callee] if isinstance(callee, Service) else []

    def traffic_of(self, caller: Service, callee: Callee) -> Traffic | None:
        """The rule for a callee that holds for this caller: of its own namespace, of the callee's, of the mesh's."""
        if callee.name not in self._traffic:
            return None
        rules = [
            each
            for each in self._traffic[callee.name]
            if caller.has_labels(each.selector) and _sees(caller, each.namespace, each.visible_to)
        ]
        for namespace in (caller.namespace, callee.namespace, self._mesh.root_namespace):
            here = [each for each in rules if each.namespace == namespace]
            if here:
                return next((each for each in here if each.selector), here[0])
        return None

    def _modes(self, service: Service) -> tuple[tuple[int, Mode], ...]:
        ports = (0, *(each.number for each in service.more_ports))
        return tuple((port, self._step(service, port).takes) for port in ports)

    def _step(self, service: Service, port: int) -> Step:
        """What a port takes now: on its way to another mode something else than it is to."""
        known = self._steps.get((service.name, port))
        return known or goal(self._holding.mode(service, port))

    def _keys_of(self, service: Service, tokens: Iterable[Tokens]) -> Iterable[Reached]:
        """Where the keys are fetched of the issuers that this workload knows, each place once."""
        uris = {issuer.jwks_uri for each in tokens for issuer in each.issuers if issuer.jwks_uri}
        for name, uri in sorted({key_cluster(uri): uri for uri in sorted(uris)}.items()):
            place = key_place(uri, self._mesh.externals)
            rule = self.traffic_of(service, place)
            yield Reached(name, place, (), (), rule.at(place.plain_port) if rule else TrafficPolicy())

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
