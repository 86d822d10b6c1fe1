"""VirtualServices: how requests and connections to some hosts are routed.

The first rule that fits counts, in the order of the file. Of two VirtualServices for a host the older holds at the
sidecars; at a gateway both do. Rules are made once for each port that programs write, where that makes a difference: a
destination of several ports without one of its own is reached at the port that was called.
"""

from __future__ import annotations

from dataclasses import dataclass

from handsel.mesh.istio.findings import (
    INERT,
    SAME_HOST,
    SET_ASIDE,
    UNKNOWN_GATEWAY,
    UNREACHABLE,
)
from handsel.mesh.istio.gateways import KnownGateways
from handsel.mesh.istio.hosts import Hosts, KnownHost, KnownPort, full_name
from handsel.mesh.istio.names import Names, graph_name, label
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources.virtual_service import VirtualService
from handsel.mesh.istio.router import Router, Rules
from handsel.model.graph import Group, Protocol
from handsel.model.routing import MESH_GATEWAY, Routes

HTTP_PORT = 80


@dataclass(frozen=True)
class Routing:
    """The rules, and hosts that only they know."""

    routes: tuple[Routes, ...]
    groups: tuple[Group, ...]
    hosts: tuple[KnownHost, ...]


def read_routing(
    reading: Reading, names: Names, hosts: Hosts, subsets: dict[str, set[str]], gateways: KnownGateways
) -> Routing:
    """The rules, those for the most specific hosts first."""
    routes: list[Routes] = []
    groups: list[Group] = []
    hosts_of_rules: list[KnownHost] = []
    taken = _Taken(reading)
    for found in reading.resources.of(VirtualService):
        if not found.resource.spec.hosts:
            text = "without hosts it is for others to delegate to, which is not carried out"
            reading.findings.add(found, ("spec",), SET_ASIDE, text)
            continue
        router = Router(reading, hosts, subsets, gateways, found)
        if not router.is_right():
            continue
        _note_unreachable(reading, found)
        if MESH_GATEWAY in found.resource.spec.gateways:
            free = [host for host in found.resource.spec.hosts if taken.by(found, full_name(host, found.namespace))]
            known = [host for host in free if hosts.matching(host, found.namespace)]
            routes += router.at_sidecars(known)
            for host in (each for each in free if each not in known):
                rules = Rules(http=router.rules(HTTP_PORT).http)
                group = _only_a_name(reading, found, host, rules)
                if group and names.callee(group.name, found, ("spec", "hosts")):
                    groups.append(group)
                    hosts_of_rules.append(_known(found, group))
                    routes.append(router.routes([host], (group.name,), (MESH_GATEWAY,), rules))
        named = _gateways_of(reading, gateways, found)
        if named:
            routes += router.at_gateways(found.resource.spec.hosts, named)
    return Routing(tuple(sorted(routes, key=_breadth)), tuple(groups), tuple(hosts_of_rules))


def _breadth(routes: Routes) -> tuple[bool, int]:
    widest = max(routes.hosts, key=lambda host: (host.startswith("*"), -len(host)))
    return widest.startswith("*"), -len(widest) if widest.startswith("*") else 0


def _only_a_name(reading: Reading, found: Found[VirtualService], host: str, rules: Rules) -> Group | None:
    """A host that nothing declares: in Istio, sidecars answer it at port 80 with what the rules say."""
    if host.startswith("*") or not rules.http:
        text = f"no ServiceEntry or Service has the host {host}, so this does nothing"
        reading.findings.add(found, ("spec", "hosts"), INERT, text)
        return None
    several = len(found.resource.spec.hosts) > 1
    name = graph_name(found.name, found.namespace, label(host) if several else "", "host")
    full = full_name(host, found.namespace)
    aliases = (host,) if host != full else ()
    return Group(name, full, HTTP_PORT, Protocol.HTTP, (), found.origin, aliases, namespace=found.namespace)


def _known(found: Found[VirtualService], group: Group) -> KnownHost:
    port = KnownPort(group.port, group.name, group.protocol)
    visible_to = tuple(found.resource.spec.export_to)
    return KnownHost(group.host, group.namespace, (port,), found.subject, (), visible_to, origin=found.origin)


class _Taken:
    """Which VirtualService has a host at the sidecars."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._first: dict[str, list[Found[VirtualService]]] = {}

    def by(self, found: Found[VirtualService], host: str) -> bool:
        """Whether this one has it. Another that is seen by nobody who sees this one does not count."""
        others = self._first.setdefault(host, [])
        first = next((each for each in others if _meet(each, found)), None)
        if first is None:
            others.append(found)
            return True
        text = f"{first.subject} ({first.origin}) is for {host} already, and goes before"
        self._reading.findings.add(found, ("spec", "hosts"), SAME_HOST, text)
        return False


def _meet(one: Found[VirtualService], other: Found[VirtualService]) -> bool:
    """Whether somebody sees both."""
    mine, theirs = _seen_by(one), _seen_by(other)
    return "*" in mine or "*" in theirs or bool(mine & theirs)


def _seen_by(found: Found[VirtualService]) -> set[str]:
    said = found.resource.spec.export_to
    return {found.namespace if each == "." else each for each in said} if said else {"*"}


def _gateways_of(reading: Reading, gateways: KnownGateways, found: Found[VirtualService]) -> list[str]:
    """The gateways at which it holds, in full. Those that are not there, or take none of its hosts, are found."""
    named = []
    for index, name in enumerate(found.resource.spec.gateways):
        if name == MESH_GATEWAY:
            continue
        known = gateways.find(name, found.namespace)
        if known is None:
            text = f"there is no Gateway {name}{gateways.hint(name)}"
            reading.findings.add(found, ("spec", "gateways", index), UNKNOWN_GATEWAY, text)
        elif gateways.takes(known, found):
            named.append(known)
    return named


def _note_unreachable(reading: Reading, found: Found[VirtualService]) -> None:
    everything: int | None = None
    for number, route in enumerate(found.resource.spec.http):
        if everything is not None:
            text = f"never reached: http[{everything}] takes every request before it"
            reading.findings.add(found, ("spec", "http", number), UNREACHABLE, text)
            return
        if not route.match or any(_takes_all(match.model_dump(exclude_defaults=True)) for match in route.match):
            everything = number


def _takes_all(said: dict[str, object]) -> bool:
    meaningless = {"name", "stat_prefix", "ignore_uri_case"}
    uri = said.get("uri")
    if isinstance(uri, dict) and {key: value for key, value in uri.items() if value is not None} == {"prefix": "/"}:
        meaningless.add("uri")
    return said.keys() <= meaningless
