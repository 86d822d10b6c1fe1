"""Which modes, policies and issuers hold for a service."""

from __future__ import annotations

from functools import cached_property

from handsel.mesh.access import modes
from handsel.model.access import Mode, Policy, Tokens
from handsel.model.graph import Mesh, Service
from handsel.pki.names import SpiffeId


class Holding:
    """What holds for each service of a mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._known_modes: dict[tuple[str, int], Mode] = {}

    def policies(self, service: Service) -> tuple[Policy, ...]:
        """The policies about access to a service."""
        return tuple(each for each in self._mesh.policies if self._holds(each, service))

    def tokens(self, service: Service) -> tuple[Tokens, ...]:
        """The issuers that a service knows."""
        return tuple(each for each in self._mesh.tokens if self._holds(each, service))

    def mode(self, service: Service, port: int) -> Mode:
        """What a port is to take. 0: the main one."""
        key = service.name, port
        if key not in self._known_modes:
            root = self._mesh.root_namespace
            said = [each for each in self._mesh.modes if modes.holds(each, service, root)]
            self._known_modes[key] = modes.mode_of(service, port or service.port, said, self._mesh.mode, root)
        return self._known_modes[key]

    @cached_property
    def identities(self) -> tuple[SpiffeId, ...]:
        """Everybody whom the mesh knows."""
        return tuple(sorted(each.identity for each in self._mesh.members.values()))

    def _holds(self, said: Policy | Tokens, service: Service) -> bool:
        """Whether this is for a service: by its name, of its namespace, or of the whole mesh."""
        if said.services:
            return service.name in said.services
        everywhere = said.namespace in ("", self._mesh.root_namespace)
        return (everywhere or said.namespace == service.namespace) and service.has_labels(said.selector)
