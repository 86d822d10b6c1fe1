"""What policies ask at the ports of a gateway, where most clients have no identity of the mesh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from handsel.mesh.access.plan import Question, admit
from handsel.mesh.access.policies import Port, Said, asked_without_identity
from handsel.mesh.ir import Access, Chain
from handsel.mesh.view import View
from handsel.model.access import Mode


def admitted(view: View, port: int, chains: Iterable[Chain]) -> Iterator[Chain]:
    """The chains of a port with what is asked there: of each request, or of a connection as a whole."""
    access = asked_without_identity(Said(view.service, (), view.policies, view.tokens), Port(port, view.seat.address))
    for chain in chains:
        if access == Access():
            yield chain
        elif chain.to:
            yield from _let_in(view, access, chain)
        else:
            yield replace(chain, access=access)


def _let_in(view: View, access: Access, chain: Chain) -> Iterator[Chain]:
    """By addresses alone; where that does not decide, nobody is let in."""
    found = admit(Question(access, access, (), view.trust_domain, http=False, mode=Mode.DISABLE))
    undecided = found.closed or bool(found.near and chain.subnets)
    yield replace(chain, closed=undecided or found.plaintext is None)
    if not undecided:
        for each in found.near:
            yield replace(chain, subnets=(each.block,), closed=not each.plaintext)
