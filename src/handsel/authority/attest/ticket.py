"""The ticket as evidence: known, unused, in time, within its bounds, and its secret known to the sender."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from handsel.authority.model import Admission, Ticket, TicketBounds
from handsel.errors import TicketRefused
from handsel.link import ticket as tickets
from handsel.link.transcript import Transcript

_AGAIN = "make a new one with `handsel agent ticket`"


@dataclass(frozen=True)
class Replay:
    """Somebody who knows the secret of a ticket came after it was used: one of the two is not who it should be."""

    ticket_id: str


def redeem(
    ticket: Ticket | None, bounds: TicketBounds, transcript: Transcript, proof: bytes, *, client: str, key_pin: str,
    now: datetime,
) -> Admission | Replay:  # fmt: skip
    """What the ticket admits to. Raises `TicketRefused`.

    `client` is the address that the request comes from, `key_pin` the thumbprint of the key that is to be certified.
    """
    if ticket is None:
        raise TicketRefused("the ticket is not known here", next_step=_AGAIN)
    # Before anything else is said: who does not know the secret learns nothing about the ticket.
    if not tickets.proof_holds(ticket.derived_key, transcript, proof):
        raise TicketRefused("the ticket's secret is wrong", next_step=_AGAIN)
    if ticket.redeemed:
        return Replay(ticket.ticket_id)
    if now >= ticket.expires:
        raise TicketRefused(f"the ticket ended at {ticket.expires:%Y-%m-%d %H:%M:%S} UTC", next_step=_AGAIN)
    _check_bounds(bounds, transcript.host_name, client, key_pin)
    name = f"ticket {ticket.ticket_id}"
    return Admission(ticket.services, name, name, ticket_id=ticket.ticket_id, ticket_key=ticket.derived_key)


def _check_bounds(bounds: TicketBounds, host_name: str, client: str, key_pin: str) -> None:
    if bounds.host_name and bounds.host_name != host_name:
        raise TicketRefused(f"the ticket is for the host {bounds.host_name!r}, not {host_name!r}", next_step=_AGAIN)
    if bounds.network and not _lies_in(client, bounds.network):
        raise TicketRefused(f"the ticket is for hosts in {bounds.network}, not {client}", next_step=_AGAIN)
    if bounds.key_pin and bounds.key_pin != key_pin:
        raise TicketRefused("the ticket is for another key", next_step="make it with the pin of `handsel agent key`")


def _lies_in(client: str, network: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    # A door on `::` sees IPv4 clients by their mapped addresses.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in ipaddress.ip_network(network)
