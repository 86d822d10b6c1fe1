"""The rules of one VirtualService, as they are for who calls a port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import (
    PORT_NEEDED,
    SET_ASIDE,
    UNKNOWN_HOST,
    UNKNOWN_PORT,
    UNKNOWN_SUBSET,
    WRONG_PROTOCOL,
)
from handsel.mesh.istio.gateways import KnownGateways
from handsel.mesh.istio.hosts import Hosts, KnownHost, KnownPort
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources.http_route import Destination
from handsel.mesh.istio.resources.virtual_service import VirtualService, VirtualServiceSpec
from handsel.mesh.istio.rules import SetAside, connection_rules, http_rules
from handsel.mesh.istio.traffic import numbers, target_hint
from handsel.model.graph import Protocol
from handsel.model.routing import MESH_GATEWAY, ConnectionRule, HttpRule, Routes

_CLAIMS = "@request.auth"


class Rules(NamedTuple):
    """Rules for requests, for connections with TLS of their own, and for others."""

    http: tuple[HttpRule, ...] = ()
    tls: tuple[ConnectionRule, ...] = ()
    tcp: tuple[ConnectionRule, ...] = ()


class Router:
    """Makes the rules of one VirtualService."""

    def __init__(
        self, reading: Reading, hosts: Hosts, subsets: dict[str, set[str]], gateways: KnownGateways,
        found: Found[VirtualService],
    ) -> None:  # fmt: skip
        self._reading = reading
        self._hosts = hosts
        self._subsets = subsets
        self._gateways = gateways
        self._found = found
        self._spec = found.resource.spec

    def is_right(self) -> bool:
        """Whether everything that it refers to is there; what is not is found."""
        said = [*self._missing(), *self._claims()]
        for path, known, text in said:
            self._reading.findings.add(self._found, path, known, text)
        return not said

    def _missing(self) -> Iterator[SetAside]:
        for path, destination in destinations(self._spec):
            host = self._hosts.find(destination.host, self._found.namespace)
            if host is None:
                text = f"no ServiceEntry or Service has the host {destination.host}{self._hosts.hint(destination.host)}"
                yield (*path, "host"), UNKNOWN_HOST, text
                continue
            if destination.subset and destination.subset not in self._subsets.get(host.name, ()):
                text = f"no DestinationRule of {host.name} has a subset {destination.subset!r}"
                yield (*path, "subset"), UNKNOWN_SUBSET, text
            number = destination.port.number if destination.port else None
            if number is not None and host.port(number) is None:
                text = f"{host.subject} has port {numbers(host)}, not {number}{target_hint(host, number)}"
                yield (*path, "port", "number"), UNKNOWN_PORT, text

    def _claims(self) -> Iterator[SetAside]:
        for number, route in enumerate(self._spec.http):
            for index, match in enumerate(route.match):
                for key in ("headers", "without_headers"):
                    for name in getattr(match, key):
                        if name.startswith(_CLAIMS):
                            where: Path = ("spec", "http", number, "match", index)
                            yield where, SET_ASIDE, f"{name}: routing by claims of a token is not carried out"
            if route.delegate is not None:
                yield ("spec", "http", number, "delegate"), SET_ASIDE, "delegate is not carried out"

    def rules(self, called: int) -> Rules:
        """All rules as they are for who called this port."""

        def target(destination: Destination) -> str:
            return self._target(destination, called)

        where, spec, gateways = self._found, self._spec, self._gateways.full_names
        return Rules(
            http_rules(where, spec.http, target, gateways),
            connection_rules(where, spec.tls, "tls", target, gateways),
            connection_rules(where, spec.tcp, "tcp", target, gateways),
        )

    def at_sidecars(self, hosts: Sequence[str]) -> Iterator[Routes]:
        """The routes of sidecars: alike for callees whose rules are alike."""
        alike: dict[Rules, list[str]] = {}
        for host in (each for name in hosts for each in self._hosts.matching(name, self._found.namespace)):
            for port in host.ports:
                rules = self._fitting(port)
                if any(rules) and not self._is_unclear(port.number):
                    alike.setdefault(rules, []).append(port.callee)
                elif not any(rules) and len(host.ports) == 1:
                    spoken = port.written or port.protocol.upper()
                    text = f"port {port.number} of {host.name} has {spoken}, and no rule is for that"
                    self._reading.findings.add(self._found, ("spec",), WRONG_PROTOCOL, text)
        for rules, callees in alike.items():
            yield self.routes(hosts, tuple(dict.fromkeys(callees)), (MESH_GATEWAY,), rules)

    def at_gateways(self, hosts: Sequence[str], gateways: Sequence[str]) -> Iterator[Routes]:
        """The routes of gateways, which have no callee."""
        if not self._is_unclear(0):
            yield self.routes(hosts, (), tuple(gateways), self.rules(0))

    def routes(self, hosts: Sequence[str], callees: tuple[str, ...], gateways: tuple[str, ...], rules: Rules) -> Routes:
        """These rules for the graph."""
        found = self._found
        return Routes(
            name=found.name,
            namespace=found.namespace,
            hosts=tuple(hosts),
            callees=callees,
            gateways=gateways,
            http=rules.http,
            tls=rules.tls,
            tcp=rules.tcp,
            visible_to=tuple(self._spec.export_to),
            origin=found.origin,
        )

    def _target(self, destination: Destination, called: int) -> str:
        """The callee that a destination means for who called this port; empty when that cannot be told."""
        host = self._hosts.find(destination.host, self._found.namespace)
        port = port_of(host, destination, called) if host else None
        return port.callee if port else ""

    def _fitting(self, port: KnownPort) -> Rules:
        rules = self.rules(port.number)
        if port.protocol is not Protocol.TCP:
            return Rules(http=rules.http)
        return Rules(tls=rules.tls if port.is_encrypted else (), tcp=rules.tcp)

    def _is_unclear(self, called: int) -> bool:
        for path, destination in destinations(self._spec):
            host = self._hosts.find(destination.host, self._found.namespace)
            if host and host.ports and port_of(host, destination, called) is None:
                text = f"{host.name} has the ports {numbers(host)}: which one is meant?"
                self._reading.findings.add(self._found, (*path, "host"), PORT_NEEDED, text)
                return True
        return False


def port_of(host: KnownHost, destination: Destination, called: int) -> KnownPort | None:
    """The port that a destination means: its own, the only one, or the one that was called (0: at a gateway)."""
    if destination.port:
        return host.port(destination.port.number)
    if len(host.ports) == 1:
        return host.ports[0]
    return host.port(called) if called else None


def destinations(spec: VirtualServiceSpec) -> Iterator[tuple[Path, Destination]]:
    """Every destination, mirrors too, and its place."""
    for number, route in enumerate(spec.http):
        path: Path = ("spec", "http", number)
        for index, each in enumerate(route.route):
            yield (*path, "route", index, "destination"), each.destination
        if route.mirror:
            yield (*path, "mirror"), route.mirror
        for index, mirror in enumerate(route.mirrors):
            yield (*path, "mirrors", index, "destination"), mirror.destination
    shares = [("tls", number, tls.route) for number, tls in enumerate(spec.tls)]
    shares += [("tcp", number, tcp.route) for number, tcp in enumerate(spec.tcp)]
    for kind, number, route_to in shares:
        for index, share in enumerate(route_to):
            yield ("spec", kind, number, "route", index, "destination"), share.destination
