"""Who may call a port, and in which mode it takes calls: from policies to what a proxy asks."""

from __future__ import annotations

from handsel.mesh.ir import Access, Layer, PeerAnyone, PeerIds
from handsel.mesh.scope import View
from handsel.model.access import Mode
from handsel.model.graph import ServicePort
from handsel.pki.names import SpiffeId


def peer_of(view: View) -> tuple[PeerIds | PeerAnyone, tuple[SpiffeId, ...]]:
    """Whom the handshake lets in, and exactly who that is (empty: not decided by names)."""
    if not view.service.guarded:
        return PeerAnyone(view.trust_domain), ()
    callers = tuple(sorted({caller.identity for caller in view.callers})) or (view.trust_domain.nobody,)
    return PeerIds(callers), callers


def access_of(_view: View, _port: ServicePort) -> Access:
    """What is asked of each request or connection beyond the handshake."""
    return Access()


def layer_for_access(_view: View, _port: ServicePort) -> Layer:
    """How deep the port must be looked into for what is asked."""
    return Layer.TCP


def mode_of(_view: View, _port: ServicePort) -> Mode:
    """What the port takes."""
    return Mode.STRICT
