"""The keys that sign JWT-SVIDs, in a table: their public halves, and when each signs and is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority.jwt import JwtKey, KeysEnded, KeyShown
from handsel.authority.spiffe_bundle import JwtAuthority
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_keys = sa.Table(
    "jwt_keys",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("jwk", sa.Text, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("stored", sa.Text, nullable=False),
    sa.Column("published", sa.Float, nullable=False),
    sa.Column("active", sa.Float, nullable=False),
    sa.Column("retires", sa.Float, nullable=False),
    sa.Column("ends", sa.Float, nullable=False),
)


def _show(connection: sa.Connection, write: KeyShown) -> None:
    key = write.key
    connection.execute(
        sa.insert(_keys),
        {
            "kid": key.kid, "jwk": key.public, "server": key.server, "stored": key.stored,
            "published": key.published.timestamp(), "active": key.active.timestamp(),
            "retires": key.retires.timestamp(), "ends": key.ends.timestamp(),
        },
    )  # fmt: skip


def _end(connection: sa.Connection, write: KeysEnded) -> None:
    connection.execute(sa.delete(_keys).where(_keys.c.kid.in_(write.kids)))


APPLIERS: Appliers = {KeyShown: _show, KeysEnded: _end}


class JwtKeys:
    """The keys, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def all(self) -> tuple[JwtKey, ...]:
        """Every key that is shown, of any server, the oldest first."""
        return tuple(_key(row) for row in await self._read(sa.select(_keys).order_by(_keys.c.published)))


def _key(row: sa.Row[tuple[object, ...]]) -> JwtKey:
    members = json.loads(row.jwk)
    times = (datetime.fromtimestamp(each, UTC) for each in (row.published, row.active, row.retires, row.ends))
    return JwtKey(JwtAuthority.of(members["kid"], members), row.server, row.stored, *times)
