"""Join tickets: any text is a ticket, which is written as it was read, or it is refused."""

from __future__ import annotations

from handsel.errors import TicketRefused
from handsel.link.ticket import TicketText


def fuzz(data: bytes) -> None:
    """Read a ticket; also one whose packed part is just these bytes."""
    for text in (data.decode("latin-1"), _packed(data)):
        try:
            ticket = TicketText.decode(text)
        except TicketRefused:
            continue
        if text.startswith("hs2."):
            assert TicketText.decode(ticket.encode()) == ticket


def _packed(data: bytes) -> str:
    import base64

    return "hs2." + base64.urlsafe_b64encode(data).rstrip(b"=").decode()
