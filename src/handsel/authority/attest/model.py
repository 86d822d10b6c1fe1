"""The nouns of attestation: evidence that was found good, and what is known by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from handsel.authority.model import Spent

Selectors = Mapping[str, tuple[str, ...]]
"""What is known of a host, by name. Most have one value; a certificate may have several DNS names."""

LEEWAY = timedelta(seconds=60)
"""How far the clocks of issuers may be from ours."""


@dataclass(frozen=True)
class Attested:
    """Evidence that is good. `subject` is what people know it by."""

    attestor: str
    subject: str
    selectors: Selectors
    spent: Spent | None = None


@dataclass(frozen=True)
class TicketUse:
    """What became of a ticket: the agent that it let in, and how often it came again.

    `told`: when the journal was last told that it came again; `untold`: how often it came since.
    """

    ticket_id: str
    agent_id: str
    told: datetime | None = None
    untold: int = 0
