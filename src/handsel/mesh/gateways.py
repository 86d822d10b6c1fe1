"""From what a gateway serves to its fronts: what is at each port, told apart by server name and by Host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from handsel.mesh.edge import names_gateway
from handsel.mesh.edge_tls import server_tls
from handsel.mesh.gateway_access import admitted
from handsel.mesh.intent import PeerAnyone, PeerIds, TlsIntent
from handsel.mesh.ir import PROGRAM, Chain, Front, Route, Site, Weighted
from handsel.mesh.routes import route_of, weighted
from handsel.mesh.view import View, cluster_name, passing_name
from handsel.model.gateway import Gateway, GatewayPort, ServerTlsMode
from handsel.model.graph import External, Protocol, Service
from handsel.model.routing import ConnectionMatch, HttpRule, Redirect, RequestMatch, Routes
from handsel.xds import secret

_PASSING = (ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH)
_HTTP = ("HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB")


@dataclass(frozen=True)
class _Door:
    """A port of a gateway, with the routes of that gateway."""

    gateway: Gateway
    port: GatewayPort
    routes: tuple[Routes, ...]

    @property
    def is_http(self) -> bool:
        passes = self.port.tls is not None and self.port.tls.mode in _PASSING
        return self.port.protocol in _HTTP and not passes

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its hosts without the namespaces before them."""
        return tuple(dict.fromkeys(host.rpartition("/")[2] for host in self.port.hosts))

    @property
    def server_names(self) -> tuple[str, ...]:
        """Those that come in TLS; none: all."""
        return () if "*" in self.hosts else self.hosts

    def common(self, routes: Routes, hosts: Iterable[str]) -> list[str]:
        """Which of `hosts` are also of this port, as far as it takes routes of that namespace."""
        found = []
        for each in self.port.hosts:
            namespace, _, mine = each.rpartition("/")
            if namespace in ("", "*", routes.namespace) or (
                namespace == "." and routes.namespace == self.gateway.namespace
            ):
                found += [both for host in hosts if (both := in_common(mine, host))]
        return list(dict.fromkeys(found))

    def takes(self, match: RequestMatch | ConnectionMatch, routes: Routes) -> bool:
        """Whether a match of a rule is about this port."""
        here = not match.gateways or names_gateway(match.gateways, self.gateway, routes.namespace)
        return here and match.port in (None, self.port.number)


def in_common(one: str, other: str) -> str:
    """The hosts that two patterns have in common, as a pattern; empty when there are none."""
    for narrow, wide in ((one, other), (other, one)):
        if wide in ("*", narrow) or (wide.startswith("*.") and narrow.endswith(wide[1:])):
            return narrow
    return ""


def fronts(view: View) -> tuple[Front, ...]:
    """The ports of a gateway, or those that a service exposes beside its own."""
    return (*_exposed(view), *_guard(view), *_gateway(view))


def _gateway(view: View) -> Iterator[Front]:
    doors: dict[tuple[str, int], list[_Door]] = {}
    for each in view.served:
        for port, number in each.ports:
            where = port.bind or view.seat.address, number
            doors.setdefault(where, []).append(_Door(each.gateway, port, each.routes))
    for (address, number), here in doors.items():
        plain = [door for door in here if door.port.tls is None and door.is_http]
        found = [chain for door in here if door not in plain for chain in _chains(view, door)]
        if plain:
            found.append(Chain("", sites=_merged(site for door in plain for site in _sites(view, door))))
        chains = _told_apart(admitted(view, here[0].port.number, found))
        if chains:
            yield Front(f"front.{number}", address, number, chains)


def _told_apart(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    """Each server name once: the first that has it. Each chain then knows what the others answer."""
    taken: set[tuple[str, tuple[str, ...]]] = set()
    kept: list[Chain] = []
    for chain in chains:
        names = tuple(each for each in chain.server_names or ("",) if (each, chain.subnets) not in taken)
        taken |= {(each, chain.subnets) for each in names}
        if names:
            name = "@".join((names[0] or "others", *chain.subnets[:1]))
            kept.append(replace(chain, name=name, server_names=() if names == ("",) else names))
    hosts = {chain.name: [host for site in chain.sites for host in site.hosts] for chain in kept}
    return tuple(
        replace(
            chain, elsewhere=tuple(sorted({h for n, each in hosts.items() if n != chain.name for h in each} - {"*"}))
        )
        if chain.tls and chain.sites
        else chain
        for chain in kept
    )


def _chains(view: View, door: _Door) -> Iterator[Chain]:
    tls = door.port.tls
    if tls is not None and tls.mode is ServerTlsMode.AUTO_PASSTHROUGH:
        yield from _auto_passing(view, door)
    elif door.is_http:
        intent = server_tls(view, door.port, http=True)
        asked = tls is not None and tls.mode in (ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL)
        yield Chain(
            "", door.server_names, intent, _merged(_sites(view, door)), tells_client=asked,
            revocation=_revocation(view, intent),
        )  # fmt: skip
    else:
        yield from _connections(view, door)


def _revocation(view: View, intent: TlsIntent | None) -> int:
    """Of the last peer that was let in by its identity and is not any more."""
    return view.newest(None) if intent and isinstance(intent.peer, PeerAnyone) else 0


# Requests


def _sites(view: View, door: _Door) -> Iterator[Site]:
    if door.port.https_redirect:
        yield Site("", door.hosts, (Route(redirect=Redirect(scheme="https", port=_https_port(door))),))
        return
    for routes in door.routes:
        hosts = door.common(routes, routes.hosts)
        found = tuple(_requests(view, door, routes))
        if hosts and found:
            yield Site("", tuple(hosts), found)


def _https_port(door: _Door) -> int:
    """Where the same gateway has TLS; 0, which is the usual port, where it has none."""
    ports = [each.number for each in door.gateway.ports if each.tls is not None and each.protocol in _HTTP]
    return 0 if not ports or 443 in ports else ports[0]


def _merged(sites: Iterable[Site]) -> tuple[Site, ...]:
    """Each host once, with all routes that were said of it."""
    by_host: dict[str, list[Route]] = {}
    for site in sites:
        for host in site.hosts:
            by_host.setdefault(host, []).extend(site.routes)
    by_routes: dict[int, tuple[list[str], tuple[Route, ...]]] = {}
    for host, routes in by_host.items():
        key = hash(tuple(id(each) for each in routes))
        by_routes.setdefault(key, ([], tuple(routes)))[0].append(host)
    return tuple(Site(hosts[0], tuple(hosts), routes) for hosts, routes in by_routes.values())


def _requests(view: View, door: _Door, routes: Routes) -> Iterator[Route]:
    for rule in routes.http:
        matches = tuple(each for each in rule.matches if door.takes(each, routes))
        if matches or not rule.matches:
            yield _route(view, rule, matches)


def _route(view: View, rule: HttpRule, matches: tuple[RequestMatch, ...]) -> Route:
    """What is outside is told its own name: it knows no other."""
    names = {cluster_name(each.callee, each.subset) for each in rule.to}
    outside = {each.callee.host for each in view.reached if each.name in names and isinstance(each.callee, External)}
    return route_of(view, rule, matches, outside.pop() if len(names) == len(outside) == 1 else "")


# Connections


def _connections(view: View, door: _Door) -> Iterator[Chain]:
    passes = door.port.tls is None or door.port.tls.mode in _PASSING
    intent = None if passes else server_tls(view, door.port, http=False)
    by_name = door.port.tls is not None
    for routes in door.routes:
        for rule in (*routes.tls, *routes.tcp) if by_name else routes.tcp:
            for match in rule.matches or (ConnectionMatch(),):
                hosts = door.common(routes, match.server_names or routes.hosts)
                if door.takes(match, routes) and hosts:
                    names = () if "*" in hosts or not by_name else tuple(hosts)
                    yield Chain(
                        "", names, intent, to=weighted(rule.to), subnets=match.source_subnets,
                        revocation=_revocation(view, intent),
                    )  # fmt: skip


def _auto_passing(view: View, door: _Door) -> Iterator[Chain]:
    """By the names that Istio's proxies put into TLS for each other: `outbound_.PORT_.SUBSET_.HOST`."""
    for each in view.reached:
        service = each.callee
        if not isinstance(service, Service) or each.name != passing_name(service.name):
            continue
        host = f"{service.name}.{service.namespace}.svc.cluster.local"
        if any(in_common(mine, host) for mine in door.hosts):
            ports = [service.port, *(port.number for port in service.more_ports)]
            names = tuple(f"outbound_.{port or 80}_._.{host}" for port in ports)
            yield Chain("", names, to=(Weighted(each.name),))


# A gateway that guards externals, and ports that a service exposes


def _guard(view: View) -> Iterator[Front]:
    """One port for all: the server name says which external is meant, the handshake who may call that."""
    chains = []
    for each in view.guarded:
        external = each.external
        http = external.protocol is not Protocol.TCP
        callers = tuple(sorted({caller.identity for caller in each.callers})) or (view.trust_domain.nobody,)
        to, alpn = (Weighted(external.name),), ("h2",) if http else ()
        site = Site(external.name, (external.host,), (Route(to=to, host=external.host),))
        chains.append(
            Chain(
                external.name,
                (external.host,),
                TlsIntent(secret.IDENTITY, secret.TRUST, PeerIds(callers), view.mesh.within, "", alpn),
                sites=(site,) if http else (),
                to=() if http else to,
                revocation=view.newest(callers),
            )
        )
    if chains:
        yield Front("inbound", view.seat.address, view.seat.mesh_port, tuple(chains))


def _exposed(view: View) -> Iterator[Front]:
    to = (Weighted(PROGRAM),)
    for port in view.service.exposes:
        http = view.service.protocol is not Protocol.TCP
        asked = port.tls is not None and port.tls.mode is not ServerTlsMode.SIMPLE
        chain = Chain("program", tls=server_tls(view, port, http=http), tells_client=asked)
        site = Site("program", ("*",), (Route(to=to),))
        chain = replace(chain, sites=(site,)) if http else replace(chain, to=to)
        yield Front(f"front.{port.number}", port.bind or view.seat.address, port.number, (chain,))
