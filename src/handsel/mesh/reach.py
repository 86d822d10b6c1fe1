"""Who answers a call to a name: through the rules for it, which services, and with which share of the requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from handsel.mesh.router import Request, route
from handsel.mesh.scope import Scope
from handsel.mesh.view import cluster_name, written_ports
from handsel.model.graph import Callee, Mesh, Protocol, Service
from handsel.model.routing import Routes, Target


@dataclass(frozen=True)
class Answering:
    """A service that answers, with its share of the requests, by the cluster through which it is reached."""

    service: str
    cluster: str
    share: float


def answering(mesh: Mesh, scope: Scope, caller: Service, name: str, path: str) -> tuple[Answering, ...]:
    """The services that answer a bare request for `path` from this caller, most of it first; none: all are outside."""
    callee = mesh.callee(name)
    if callee is None:
        return ()
    found: dict[str, Answering] = {}
    for each in _all(scope, caller, _targets(scope.rules(caller, name), caller, callee, path)):
        known = found.get(each.service)
        found[each.service] = Answering(each.service, each.cluster, each.share + (known.share if known else 0))
    return tuple(sorted(found.values(), key=lambda each: -each.share))


def _targets(said: Routes | None, caller: Service, callee: Callee, path: str) -> tuple[Target, ...]:
    is_tcp = callee.protocol is Protocol.TCP
    if said is None or not (said.tcp or said.tls if is_tcp else said.http):
        return (Target(callee.name),)
    if is_tcp:
        return next((rule.to for rule in said.tcp if not rule.matches), ())
    request = Request(
        path, "POST" if callee.protocol.is_http2 else "GET", callee.name, port=written_ports(callee)[-1],
        labels=dict(caller.labels), namespace=caller.namespace,
    )  # fmt: skip
    taken = route(said.http, request).rule
    return said.http[taken].to if taken is not None else ()


def _all(scope: Scope, caller: Service, targets: tuple[Target, ...]) -> Iterator[Answering]:
    total = sum(each.weight for each in targets)
    for target in targets:
        share = 1.0 if len(targets) == 1 else target.weight / total if total else 0.0
        services = scope.services_of(caller, target.callee, target.subset) if share else ()
        for each in services:
            yield Answering(each.name, cluster_name(target.callee, target.subset), share / len(services))
