"""What ended long ago is taken away: orders, authorizations with their challenges, and tickets that nobody used.

Certificates and the journal stay, and so do tickets that were used: one that comes again must be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from handsel.store.adapters.sql import SqlStore
from handsel.store.outcome import Appliers

_orders = sa.table("acme_orders", sa.column("id"), sa.column("status"), sa.column("expires", sa.Float))
_authorizations = sa.table("acme_authorizations", sa.column("id"), sa.column("expires", sa.Float))
_tickets = sa.table("tickets", sa.column("ticket_id"), sa.column("expires", sa.Float))
_bounds = sa.table("ticket_bounds", sa.column("ticket_id"))


@dataclass(frozen=True)
class EndedForgotten:
    """What ended before a time is taken away, at most so many of each kind."""

    before: datetime
    most: int


async def has_ended(store: SqlStore, before: datetime) -> bool:
    """Whether there is anything that ended before a time."""
    for statement in (_ENDED_ORDERS, _ENDED_AUTHORIZATIONS, _UNUSED_TICKETS):
        if await store.read(statement, {"before": before.timestamp(), "most": 1}):
            return True
    return False


def _forget(connection: sa.Connection, write: EndedForgotten) -> None:
    batch = {"before": write.before.timestamp(), "most": write.most}
    for statement in _FORGET:  # the tickets last: what belongs to them is found by them
        connection.execute(statement, batch)


APPLIERS: Appliers = {EndedForgotten: _forget}


def _ended(column: sa.ColumnClause[str], expires: sa.ColumnClause[float], *more: sa.TextClause) -> sa.Select[str]:
    wanted = sa.select(column).where(expires < sa.bindparam("before"), *more)
    return wanted.order_by(expires).limit(sa.bindparam("most"))


_ENDED_ORDERS = _ended(_orders.c.id, _orders.c.expires, sa.text("status != 'processing'"))
_ENDED_AUTHORIZATIONS = _ended(_authorizations.c.id, _authorizations.c.expires)
_UNUSED_TICKETS = _ended(_tickets.c.ticket_id, _tickets.c.expires, sa.text("NOT redeemed"))
_FORGET = (
    sa.delete(_orders).where(_orders.c.id.in_(_ENDED_ORDERS)),
    sa.delete(_authorizations).where(_authorizations.c.id.in_(_ENDED_AUTHORIZATIONS)),
    sa.delete(_bounds).where(_bounds.c.ticket_id.in_(_UNUSED_TICKETS)),
    sa.delete(_tickets).where(_tickets.c.ticket_id.in_(_UNUSED_TICKETS)),
)
