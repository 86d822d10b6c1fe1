"""Administrators in a table."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority.administration import Administrator, AdministratorAdded, AdministratorRemoved, Role
from handsel.errors import Conflict
from handsel.store.adapters.sql import SqlStore, apply_once, metadata
from handsel.store.outcome import Appliers

_administrators = sa.Table(
    "administrators",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Integer, nullable=False),
    sa.Column("added", sa.Float, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
)


def _add(connection: sa.Connection, write: AdministratorAdded) -> None:
    who = write.administrator
    connection.execute(sa.delete(_administrators).where(_administrators.c.name == who.name))
    values = {"name": who.name, "role": int(who.role), "added": who.added.timestamp(), "added_by": who.added_by}
    connection.execute(sa.insert(_administrators), values)


def _remove(connection: sa.Connection, write: AdministratorRemoved) -> None:
    removed = connection.execute(sa.delete(_administrators).where(_administrators.c.name == write.name)).rowcount
    apply_once(removed, lambda: Conflict(f"there is no administrator {write.name!r}"))


APPLIERS: Appliers = {AdministratorAdded: _add, AdministratorRemoved: _remove}


class Administrators:
    """Who has which role."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def all(self) -> list[Administrator]:
        """Everybody with a role, by name."""
        rows = await self._read(sa.select(_administrators).order_by(_administrators.c.name))
        return [_administrator(row) for row in rows]

    async def named(self, name: str) -> Administrator | None:
        rows = await self._read(_NAMED, {"name": name})
        return _administrator(rows[0]) if rows else None


_NAMED = sa.select(_administrators).where(_administrators.c.name == sa.bindparam("name"))


def _administrator(row: sa.Row[tuple[object, ...]]) -> Administrator:
    return Administrator(row.name, Role(row.role), datetime.fromtimestamp(row.added, UTC), row.added_by)
