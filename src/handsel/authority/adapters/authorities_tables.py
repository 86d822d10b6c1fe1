"""The CA certificates that this authority knows of, in a table: older leaves keep their chains."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority.adapters.tables import certificates, revocations
from handsel.authority.hierarchy import CaKnown, Known, State
from handsel.authority.rotation import Control
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

_rotations = sa.Table(
    "rotations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("override", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
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


def _control(connection: sa.Connection, write: Control) -> None:
    connection.execute(sa.delete(_rotations).where(_rotations.c.name == write.name))
    values = {"name": write.name, "paused": write.paused, "override": write.override, "by": write.by}
    connection.execute(sa.insert(_rotations), values)


APPLIERS: Appliers = {CaKnown: _know, Control: _control}


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

    async def control(self, name: str) -> Control:
        """What people decided about the rotation of a CA."""
        rows = await self._read(_CONTROL, {"name": name})
        return Control(name, bool(rows[0].paused), rows[0].override, rows[0].by) if rows else Control(name)

    async def newest_agents(self, now: datetime) -> dict[str, Certificate]:
        """The newest living certificate of each agent, by its identity."""
        rows = await self._read(_AGENTS, {"now": now.timestamp()})
        return {row.identity: Certificate(bytes(row.der)) for row in rows}  # the newest comes last

    async def living(self, name: str, now: datetime) -> list[Certificate]:
        """The certificates of a CA that live now, at most ten thousand, those that end last first."""
        rows = await self._read(_LIVING, {"issuer": name, "now": now.timestamp()})
        return [Certificate(bytes(row.der)) for row in rows]

    async def leaves(self, name: str, before: datetime, now: datetime) -> int:
        """How many certificates a CA signed before a moment that are still good, revoked ones left out."""
        when = {"issuer": name, "before": before.timestamp(), "now": now.timestamp()}
        return int((await self._read(_LEAVES, when))[0].living)


_CONTROL = sa.select(_rotations).where(_rotations.c.name == sa.bindparam("name"))
_LEAVES = (
    sa.select(sa.func.count().label("living"))
    .select_from(certificates.outerjoin(revocations, revocations.c.serial == certificates.c.serial))
    .where(
        certificates.c.issuer == sa.bindparam("issuer"), certificates.c.state == "issued",
        certificates.c.not_before < sa.bindparam("before"), certificates.c.not_after > sa.bindparam("now"),
        revocations.c.serial.is_(None),
    )
)  # fmt: skip
_LIVING = (
    sa.select(certificates.c.der)
    .where(
        certificates.c.issuer == sa.bindparam("issuer"), certificates.c.state == "issued",
        certificates.c.not_after > sa.bindparam("now"),
    )
    .order_by(certificates.c.not_after.desc())
    .limit(10_000)
)  # fmt: skip
_AGENTS = (
    sa.select(certificates.c.identity, certificates.c.der)
    .where(
        certificates.c.profile == "agent", certificates.c.state == "issued",
        certificates.c.not_after > sa.bindparam("now"),
    )
    .order_by(certificates.c.not_before)
)  # fmt: skip
_ALL = sa.select(_authorities).order_by(_authorities.c.role.desc(), _authorities.c.name, _authorities.c.since)
