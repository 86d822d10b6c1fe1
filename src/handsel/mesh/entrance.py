"""One port of a workload: in which mode it takes calls, and whose."""

from __future__ import annotations

from handsel.mesh.access.holds import Holding
from handsel.mesh.access.plan import Admitted, Question, admit
from handsel.mesh.access.policies import Port, Said, asked, asked_without_identity
from handsel.mesh.intent import PeerAnyone
from handsel.mesh.scope import Scope
from handsel.mesh.view import View
from handsel.model.access import Mode
from handsel.model.graph import Mesh, Protocol, Service, ServicePort

_MAIN = 0


def entrance(view: View, port: ServicePort) -> tuple[Mode, Admitted]:
    """Its mode, whom it lets in, and what is asked of requests then."""
    callers = tuple(sorted({caller.identity for caller in view.callers}))
    said = Said(view.service, callers, view.policies, view.tokens)
    modes = dict(view.modes)
    mode = modes.get(port.number, modes[_MAIN])
    here = Port(port.number, view.seat.address)
    question = Question(
        asked(said, here),
        asked_without_identity(said, here),
        view.known,
        view.trust_domain,
        port.protocol is not Protocol.TCP,
        mode,
    )
    return mode, admit(question)


class Entrances:
    """The same for the ports of a mesh of which nobody knows yet where they are."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._scope = Scope(mesh, {}, {})
        self._holding = Holding(mesh)

    def callers(self, service: Service) -> tuple[Service, ...]:
        """Who names a service in its calls, or leads there by a route."""
        return self._scope.callers_of(service.name)

    def said(self, service: Service) -> Said:
        """All that was said of a service."""
        # Of one that is not guarded nobody asks who calls it, as in its view.
        callers = tuple(sorted({each.identity for each in self.callers(service)})) if service.guarded else ()
        return Said(service, callers, self._holding.policies(service), self._holding.tokens(service))

    def mode(self, service: Service, port: ServicePort) -> Mode:
        """What a port takes."""
        return self._holding.mode(service, _MAIN if port.number == service.port else port.number)

    def question(self, service: Service, port: ServicePort) -> Question:
        """What is asked at a port."""
        said, here = self.said(service), Port(port.number)
        return Question(
            asked(said, here),
            asked_without_identity(said, here),
            self._holding.identities,
            self._mesh.trust_domain,
            port.protocol is not Protocol.TCP,
            self.mode(service, port),
        )

    def admitted(self, service: Service) -> frozenset[str] | None:
        """Whom the handshake of its main port lets in; None: any workload of the mesh."""
        found = admit(self.question(service, ServicePort(service.port, service.protocol)))
        anyone = any(isinstance(each, PeerAnyone) for each in (found.peer, *(near.peer for near in found.near)))
        return None if anyone else frozenset(str(each) for each in found.callers)
