"""Checkpoints of the journal in a table."""

from __future__ import annotations

import sqlalchemy as sa

from handsel.authority.ledger import CheckpointMade
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("log", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


def _make(connection: sa.Connection, write: CheckpointMade) -> None:
    values = {"log": write.log, "size": write.size, "note": write.note, "at": write.at.timestamp()}
    connection.execute(sa.insert(_checkpoints), values)


APPLIERS: Appliers = {CheckpointMade: _make}


class Checkpoints:
    """The checkpoints, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def of(self, log: str) -> list[tuple[int, str]]:
        """Every checkpoint of a log as (size, note), smallest first."""
        statement = sa.select(_checkpoints).where(_checkpoints.c.log == log).order_by(_checkpoints.c.size)
        return [(row.size, row.note) for row in await self._read(statement)]
