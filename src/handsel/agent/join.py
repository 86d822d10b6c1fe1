"""Joining: what the host sends, made from a ticket and the certificate that the server showed."""

from __future__ import annotations

from handsel.link import ticket as tickets
from handsel.link.messages import JoinRequest
from handsel.link.ticket import TicketText
from handsel.pki import csr
from handsel.pki.keys import PrivateKey


def request(ticket: TicketText, key: PrivateKey, server_certificate_sha256: bytes, host_name: str) -> JoinRequest:
    """A join request. The secret itself is not in it, only the proof that we know it."""
    request_der = csr.build(key, None)
    proof = tickets.prove(tickets.derive(ticket.secret), request_der, server_certificate_sha256)
    return JoinRequest(ticket.ticket_id, request_der, proof, host_name)
