"""What a port takes: mutual TLS, plaintext, or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from handsel.model.access import Mode, PeerMode
from handsel.model.graph import Service


def holds(said: PeerMode, service: Service, root_namespace: str) -> bool:
    """Whether a mode is for this service. With a selector it is of its own namespace only, never of the mesh's."""
    if said.services:
        return service.name in said.services
    if said.selector:
        return said.namespace == service.namespace != root_namespace and service.has_labels(said.selector)
    return said.namespace in ("", root_namespace, service.namespace)


def mode_of(service: Service, port: int, said: Iterable[PeerMode], usual: Mode, root_namespace: str) -> Mode:
    """The mode of a port, given all that holds for its service: of its port, of the workload, namespace, mesh.

    Within one scope the oldest counts; what says nothing inherits. `usual`: where nothing is said at all.
    """
    scopes = _by_scope(said, service, root_namespace)
    if scopes[0]:
        at_port = dict(scopes[0][0].ports).get(port)
        if at_port is not None:
            return at_port
    for scope in scopes:
        if scope and scope[0].mode is not None:
            return scope[0].mode
    return usual


def _by_scope(said: Iterable[PeerMode], service: Service, root_namespace: str) -> tuple[Sequence[PeerMode], ...]:
    workload: list[PeerMode] = []
    namespace: list[PeerMode] = []
    mesh: list[PeerMode] = []
    for each in said:
        if each.services or each.selector:
            workload.append(each)
        elif each.namespace == service.namespace and each.namespace != root_namespace:
            namespace.append(each)
        else:
            mesh.append(each)
    return tuple(sorted(scope, key=_age) for scope in (workload, namespace, mesh))


def _age(said: PeerMode) -> tuple[bool, str]:
    """The oldest first; what has no age after them, in the order in which it was read."""
    return (not said.created, said.created)
