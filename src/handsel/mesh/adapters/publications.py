"""Publications in a table of the server's store; the sequence is the database's."""

from __future__ import annotations

import sqlalchemy as sa

from handsel.link.messages import Frame
from handsel.link.resume import Publish
from handsel.store.adapters.sql import SqlStore, metadata, one_at_a_time
from handsel.store.outcome import Appliers

_publications = sa.Table(
    "publications",
    metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


def _publish(connection: sa.Connection, write: Publish) -> None:
    # The highest sequence plus one is free: rows are replaced, never removed, so it only grows. One server at a time:
    # a watch that has seen a sequence never asks for a lower one, so none may be filled in later.
    one_at_a_time(connection, "publications")
    following = connection.execute(_LAST).scalar_one() + 1
    connection.execute(
        sa.delete(_publications).where(
            _publications.c.host == write.host, _publications.c.kind == write.kind, _publications.c.key == write.key
        )
    )
    connection.execute(
        sa.insert(_publications),
        {"host": write.host, "kind": write.kind, "key": write.key, "sequence": following, "body": write.body},
    )


_LAST = sa.select(sa.func.coalesce(sa.func.max(_publications.c.sequence), 0))

APPLIERS: Appliers = {Publish: _publish}


class Publications:
    """What is published, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def since(self, host: str, sequence: int) -> list[Frame]:
        """The frames of a host after `sequence`, in order."""
        rows = await self._read(
            sa.select(_publications)
            .where(_publications.c.host == host, _publications.c.sequence > sequence)
            .order_by(_publications.c.sequence)
        )
        return [Frame(row.sequence, row.kind, row.key, row.body) for row in rows]

    async def sequences(self, kind: str) -> dict[tuple[str, str], int]:
        """The sequence of each publication of a kind, by host and key."""
        columns = (_publications.c.host, _publications.c.key, _publications.c.sequence)
        rows = await self._read(sa.select(*columns).where(_publications.c.kind == kind))
        return {(row.host, row.key): row.sequence for row in rows}

    async def after(self, sequence: int) -> list[tuple[int, Publish]]:
        """What was published after `sequence`, by any server, each with its own."""
        rows = await self._read(
            sa.select(_publications).where(_publications.c.sequence > sequence).order_by(_publications.c.sequence)
        )
        return [(row.sequence, Publish(row.host, row.kind, row.key, row.body)) for row in rows]
