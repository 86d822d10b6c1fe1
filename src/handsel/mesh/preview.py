"""What another mesh would change: which proxies get something new, and which calls would lose their connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from handsel.mesh.intent import PeerAnyone, PeerIds
from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.render import workload
from handsel.mesh.scope import Places, Scope
from handsel.mesh.translate import plan
from handsel.model.graph import Mesh
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE

Versions = dict[tuple[str, str], str]
"""The version of each resource, by type and name."""

_KINDS = {CLUSTER: "cluster", ENDPOINT: "endpoints", LISTENER: "listener", ROUTE: "routes"}


@dataclass(frozen=True)
class ProxyChange:
    """What one proxy would get: resources as `listener outbound.emoji`."""

    host: str
    service: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class Loss(StrEnum):
    """What becomes of open connections."""

    REFUSED = "refused"
    """The call is allowed no longer: they end within the drain time, and no new ones come."""
    DRAINED = "drained"
    """What they go through is replaced: they end within the drain time, and new ones take their place."""


@dataclass(frozen=True, order=True)
class Lost:
    """A call whose open connections would end."""

    caller: str
    callee: str
    how: Loss


@dataclass(frozen=True)
class Preview:
    """What a change would do to what runs now."""

    proxies: tuple[ProxyChange, ...]
    lost: tuple[Lost, ...]


def preview(now: Mesh, then: Mesh, places: Places) -> Preview:
    """What a change from one mesh to another would do, with workloads where they are."""
    before, after = Scope(now, places, {}), Scope(then, places, {})
    changes: list[ProxyChange] = []
    lost: set[Lost] = set()
    kept = set(after.workloads)
    for host, name in before.workloads:
        old = before.view(host, name)
        if (host, name) not in kept:
            lost |= {Lost(name, each.callee.name, Loss.REFUSED) for each in old.called}
            continue
        new = after.view(host, name)
        if old == new:
            continue
        plans = plan(old), plan(new)
        versions = _versions(plans[0]), _versions(plans[1])
        change = _difference(host, name, *versions)
        if change is not None:
            changes.append(change)
            lost |= set(_lost(plans[0], plans[1], change))
    return Preview(tuple(changes), tuple(sorted(_worst(lost))))


def _versions(made: WorkloadPlan) -> Versions:
    found = workload.to_resources(workload.render(made))
    return {(each.type_url, each.name): each.version for each in found}


def _difference(host: str, service: str, old: Versions, new: Versions) -> ProxyChange | None:
    added = [key for key in new if key not in old]
    removed = [key for key in old if key not in new]
    changed = [key for key in new if key in old and old[key] != new[key]]
    if not (added or removed or changed):
        return None
    return ProxyChange(host, service, *(tuple(_said(key) for key in keys) for keys in (added, changed, removed)))


def _said(key: tuple[str, str]) -> str:
    return f"{_KINDS[key[0]]} {key[1]}"


def _lost(old: WorkloadPlan, new: WorkloadPlan, change: ProxyChange) -> Iterator[Lost]:
    still = {each.callee for each in new.outbounds}
    for each in old.outbounds:
        parts = {f"listener outbound.{each.callee}", *(f"cluster {name}" for name in each.upstreams)}
        if each.callee not in still:
            yield Lost(old.service, each.callee, Loss.REFUSED)
        elif parts & set(change.changed):
            yield Lost(old.service, each.callee, Loss.DRAINED)
    admitted = {caller for port in new.inbounds for caller in _admitted(port.tls.peer)}
    everyone = any(isinstance(port.tls.peer, PeerAnyone) for port in new.inbounds)
    inbound_changed = any(each.startswith("listener inbound") for each in change.changed)
    for port in old.inbounds:
        for caller in _admitted(port.tls.peer):
            if not everyone and caller not in admitted:
                yield Lost(_name(caller), old.service, Loss.REFUSED)
            elif inbound_changed:
                yield Lost(_name(caller), old.service, Loss.DRAINED)


def _admitted(peer: object) -> tuple[str, ...]:
    """The workloads that a port lets in by name."""
    return tuple(str(each) for each in peer.allowed if not each.is_reserved) if isinstance(peer, PeerIds) else ()


def _name(identity: str) -> str:
    return identity.rpartition("/")[2]


def _worst(lost: set[Lost]) -> set[Lost]:
    """Each call once: what is refused need not be drained."""
    refused = {(each.caller, each.callee) for each in lost if each.how is Loss.REFUSED}
    return {each for each in lost if each.how is Loss.REFUSED or (each.caller, each.callee) not in refused}
