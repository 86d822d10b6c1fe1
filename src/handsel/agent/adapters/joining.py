"""Joining over the network: the roots by their pin, then the proof, then the first certificate."""

from __future__ import annotations

import socket

from handsel.agent import join, service
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.model import Enrolment, Holdings
from handsel.link.adapters.http_client import LinkClient, fetch_pinned_roots
from handsel.link.ticket import TicketText
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain


async def enrol(folder: AgentFolder, ticket: TicketText, url: str | None = None) -> Enrolment:
    """Redeem a ticket and remember it. Raises `TicketRefused`, `Unreachable`, `StateError`."""
    server = url or ticket.url
    roots = await fetch_pinned_roots(server, ticket.pins)
    trust_domain = TrustDomain(ticket.trust_domain)
    key = PrivateKey.generate()
    async with LinkClient(server, trust_domain, roots) as client:
        seen = await client.server_certificate()
        answer = await client.join(join.request(ticket, key, seen, socket.gethostname()))
    enrolment = Enrolment(server, answer.trust_domain, answer.agent_id)
    folder.save_enrolment(enrolment, service.check_pair(key, answer.chain), Holdings(answer.roots))
    return enrolment
