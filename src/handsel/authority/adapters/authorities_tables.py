"""The CA certificates that this authority knows of, in a table: older leaves keep their chains."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority.hierarchy import CaKnown, Known, State
from handsel.pki.certificate import Certificate
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_authorities = sa.Table(
    "authorities",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
)


def _know(connection: sa.Connection, write: CaKnown) -> None:
    known = write.known
    connection.execute(sa.delete(_authorities).where(_authorities.c.key_id == known.key_id))
    connection.execute(
        sa.insert(_authorities),
        {
            "key_id": known.key_id, "name": known.name, "role": "root" if known.is_root else "issuing",
            "state": str(known.state), "key": known.key, "parent": known.parent, "since": known.since.timestamp(),
            "der": known.certificate.der,
        },
    )  # fmt: skip


APPLIERS: Appliers = {CaKnown: _know}


class Authorities:
    """The CAs that are known."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def all(self) -> list[Known]:
        """Every CA, roots first, each name's oldest state first."""
        rows = await self._read(_ALL)
        return [
            Known(
                Certificate(bytes(row.der)), row.name, State(row.state), row.key,
                datetime.fromtimestamp(row.since, UTC),
            )
            for row in rows
        ]  # fmt: skip


_ALL = sa.select(_authorities).order_by(_authorities.c.role.desc(), _authorities.c.name, _authorities.c.since)
