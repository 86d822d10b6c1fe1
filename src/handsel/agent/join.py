"""Joining: what a host sends, made from what it can show and the certificate that the server showed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from handsel.errors import NotAuthorised, TicketRefused
from handsel.link import ticket as tickets
from handsel.link.joining import Evidence, JoinRequest, JoinResponse, RecoverRequest
from handsel.link.ticket import TicketText
from handsel.link.transcript import Transcript
from handsel.pki import csr, signature
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain

Prove = Callable[[Transcript], Evidence]
"""Makes the evidence for one join."""


@dataclass(frozen=True)
class Way:
    """How a host joins: where, what it shows, and how it knows the server. `others`: more servers, see `Enrolment`.

    With a ticket the server proves itself by it. Without one it is known by its roots, which were pinned or brought.
    """

    url: str
    trust_domain: TrustDomain
    attestor: str = "ticket"
    prove: Prove = field(default=lambda _: Evidence(), repr=False)
    ticket: TicketText | None = None
    roots: tuple[Certificate, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def by_ticket(cls, ticket: TicketText, url: str | None = None, others: tuple[str, ...] = ()) -> Way:
        """`url`: the server's address, when it is not the one of the ticket."""
        return cls(url or ticket.url, TrustDomain(ticket.trust_domain), ticket=ticket, others=others)


@dataclass(frozen=True)
class Sent:
    """A join request, and what its proofs are over."""

    request: JoinRequest
    transcript: Transcript


def request(
    way: Way, key: PrivateKey, recovery_key: PrivateKey, challenge: str, server_certificate_sha256: bytes,
    host_name: str,
) -> Sent:  # fmt: skip
    """A join request. The secret of a ticket is not in it, only the proof that we know it."""
    ticket_id = way.ticket.ticket_id if way.ticket else ""
    transcript = Transcript(
        way.attestor, ticket_id, challenge, server_certificate_sha256, csr.build(key, None),
        csr.build(recovery_key, None), host_name,
    )  # fmt: skip
    proof = tickets.prove(tickets.derive(way.ticket.secret), transcript) if way.ticket else b""
    return Sent(
        JoinRequest(
            ticket_id, transcript.csr, proof, host_name, way.attestor, way.prove(transcript), challenge,
            signature.sign(key.handle, transcript.signed()), transcript.recovery_csr,
        ),
        transcript,
    )  # fmt: skip


def check_answer(way: Way, sent: Sent, answer: JoinResponse) -> None:
    """Raise unless the answer is the authority's.

    A server that knows the ticket is the one that made it, whatever keys it has by now; the pins are looked at after.
    """
    if answer.trust_domain != way.trust_domain:
        raise NotAuthorised(f"the server is of {answer.trust_domain}, not of {way.trust_domain}")
    if way.ticket is None:
        return
    if not tickets.answer_holds(tickets.derive(way.ticket.secret), sent.transcript, answer):
        raise TicketRefused(
            f"the server at {way.url} does not know this ticket's secret: it is not the one that made it",
            next_step="check the address, and that nobody sits between; or make a new ticket",
        )
    if way.ticket.pins and not {root.pin for root in answer.roots} & set(way.ticket.pins):
        raise TicketRefused(
            "the authority has other root keys than when this ticket was made", next_step="make a new ticket"
        )


def recovery(
    agent_id: str, key: PrivateKey, recovery_key: PrivateKey, challenge: str, server_certificate_sha256: bytes
) -> RecoverRequest:
    """What a host sends whose certificate has ended: a new key, vouched for by the one that it registered."""
    transcript = Transcript.of_recovery(agent_id, challenge, server_certificate_sha256, csr.build(key, None))
    signed = transcript.signed()
    return RecoverRequest(
        agent_id, transcript.csr, challenge, signature.sign(key.handle, signed),
        signature.sign(recovery_key.handle, signed),
    )  # fmt: skip
