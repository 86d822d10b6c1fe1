"""What a crash left of orders and challenges, looked at when a server starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from handsel.acme.lifecycle import Status
from handsel.authority.acme.model import Authorization, Challenge, Order, Saved, authorization_status
from handsel.store.journal import entry
from handsel.store.outcome import Outcome


def put_back(orders: Iterable[Order], abandoned: Collection[str], *, now: datetime) -> Outcome[int]:
    """Orders whose certificate was intended and never made can be finalized again; nobody was given anything.

    `abandoned`: the serials among the orders' whose intention was given up. Answers how many were put back.
    """
    writes: list[object] = []
    for order in orders:
        if order.status is Status.PROCESSING and order.serial in abandoned:
            writes.append(Saved(replace(order, status=Status.PENDING, serial=None, request_hash=None)))
            writes.append(entry("order put back", now, order=order.order_id, serial=order.serial or ""))
    return Outcome(tuple(writes), len(writes) // 2)


def unseen(authorization: Authorization, now: datetime) -> tuple[Challenge, ...]:
    """The challenges that a client wants looked at and that nobody has looked at to the end."""
    if authorization_status(authorization, now) is not Status.PENDING:
        return ()
    return tuple(each for each in authorization.challenges if each.status is Status.PROCESSING)
