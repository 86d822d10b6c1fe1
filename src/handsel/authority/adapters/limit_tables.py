"""The buckets of ACME's limits in a table: when each will be full again. A bucket without a row is full."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from handsel.authority.acme.limits import Taken, full_after
from handsel.errors import Conflict
from handsel.store.adapters.sql import metadata, rows, run
from handsel.store.outcome import Appliers

_limits = sa.Table(
    "acme_limits",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("full_at", sa.Float, nullable=False),
)


@dataclass(frozen=True)
class FullForgotten:
    """Buckets that are full at this time need no rows."""

    now: float


def _take(connection: sa.Connection, write: Taken) -> None:
    found = rows(connection, _FULL_AT, {"name": write.name})
    full_at = full_after(found[0].full_at if found else write.at, write)
    if found:
        run(connection, _CHANGE, {"bucket": write.name, "full_at": full_at})
        return
    try:
        run(connection, _BEGIN, {"name": write.name, "full_at": full_at})
    except sa.exc.IntegrityError as error:
        raise Conflict(f"another server took from {write.name} at the same moment") from error


def _forget(connection: sa.Connection, write: FullForgotten) -> None:
    connection.execute(sa.delete(_limits).where(_limits.c.full_at <= write.now))


APPLIERS: Appliers = {Taken: _take, FullForgotten: _forget}
_FULL_AT = sa.select(_limits.c.full_at).where(_limits.c.name == sa.bindparam("name")).with_for_update()
_CHANGE = sa.update(_limits).where(_limits.c.name == sa.bindparam("bucket"))
_BEGIN = sa.insert(_limits)
