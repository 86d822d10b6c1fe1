"""Joining over the network: a challenge, then the proofs, then the first certificate."""

from __future__ import annotations

import socket

from handsel.agent import join, service
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.join import Way
from handsel.agent.model import Enrolment, Holdings, KeyPair
from handsel.errors import NotAuthorised
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import Bundle
from handsel.pki.keys import PrivateKey


async def enrol(folder: AgentFolder, way: Way, machine: str = "") -> Enrolment:
    """Join and remember it, and the `machine` that did.

    Raises `TicketRefused`, `Refused`, `Unreachable`, `NotAuthorised`, `StateError`.
    """
    key = folder.prepared_key() or PrivateKey.generate()
    recovery_key = PrivateKey.generate()
    roots = way.roots or None
    if way.ticket is None and roots is None:
        raise NotAuthorised("without a ticket the server is known by its roots, and there are none")
    async with LinkClient(way.url, way.trust_domain, roots, others=way.others) as client:
        challenge, seen = await client.challenge()
        sent = join.request(way, key, recovery_key, challenge, seen, socket.gethostname())
        answer = await client.join(sent.request)
    join.check_answer(way, sent, answer)
    enrolment = Enrolment(way.url, answer.trust_domain, answer.agent_id, way.others, machine)
    folder.save_recovery_key(recovery_key)
    folder.save_enrolment(enrolment, service.check_pair(key, answer.chain), Holdings(Bundle(answer.roots)))
    return enrolment


async def recover(folder: AgentFolder, enrolment: Enrolment, holdings: Holdings) -> KeyPair:
    """A new certificate for an agent whose own has ended, by its recovery key. Raises `Refused`, `Unreachable`."""
    key = PrivateKey.generate()
    # Without a client certificate: the one that has ended would end the handshake.
    url, others = enrolment.url, enrolment.others
    async with LinkClient(url, enrolment.trust_domain, holdings.roots, others=others) as client:
        challenge, seen = await client.challenge()
        request = join.recovery(enrolment.agent_id, key, folder.recovery_key(), challenge, seen)
        answer = await client.recover(request)
    return service.check_pair(key, answer.chain)
