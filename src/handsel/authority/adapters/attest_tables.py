"""What joining leaves behind, in tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from handsel.authority import directory
from handsel.authority.attest.model import TicketUse
from handsel.authority.model import Standing, TicketBounds
from handsel.errors import Conflict
from handsel.pki.keys import PublicKey
from handsel.store.adapters.sql import SqlStore, apply_once, metadata
from handsel.store.outcome import Appliers

ticket_bounds = sa.Table(
    "ticket_bounds",
    metadata,
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("host_name", sa.Text, nullable=False),
    sa.Column("network", sa.Text, nullable=False),
    sa.Column("key_pin", sa.Text, nullable=False),
)
ticket_uses = sa.Table(
    "ticket_uses",
    metadata,
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("agent_id", sa.Text, nullable=False),
    sa.Column("told", sa.Float),  # when the journal was last told that it came again
    sa.Column("untold", sa.Integer, nullable=False),  # how often it came since
)
spent_evidence = sa.Table(
    "spent_evidence",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("until", sa.Float, nullable=False, index=True),
)
recovery_keys = sa.Table(
    "recovery_keys",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
)
standings = sa.Table(
    "host_standings",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


def _bind(connection: sa.Connection, write: directory.TicketBound) -> None:
    bounds = write.bounds
    values = {
        "ticket_id": write.ticket_id, "host_name": bounds.host_name, "network": bounds.network,
        "key_pin": bounds.key_pin,
    }  # fmt: skip
    connection.execute(sa.insert(ticket_bounds), values)


def _use(connection: sa.Connection, write: directory.TicketUsed) -> None:
    values = {"ticket_id": write.ticket_id, "agent_id": write.agent_id, "untold": 0}
    connection.execute(sa.insert(ticket_uses), values)


def _note_replay(connection: sa.Connection, write: directory.ReplayNoted) -> None:
    before = None if write.told_before is None else write.told_before.timestamp()
    values: dict[str, object] = {"untold": ticket_uses.c.untold + 1}
    if write.told is not None:
        values = {"untold": 0, "told": write.told.timestamp()}
    guarded = sa.update(ticket_uses).where(ticket_uses.c.ticket_id == write.ticket_id, ticket_uses.c.told == before)
    apply_once(connection.execute(guarded.values(values)).rowcount, lambda: Conflict("it was told meanwhile"))


def _spend(connection: sa.Connection, write: directory.EvidenceSpent) -> None:
    connection.execute(_FORGET, {"now": write.now.timestamp()})
    try:
        values = {"digest": write.spent.digest, "until": write.spent.until.timestamp()}
        connection.execute(sa.insert(spent_evidence), values)
    except sa.exc.IntegrityError as error:
        raise Conflict("this token was used before, and is good once") from error


def _keep_recovery_key(connection: sa.Connection, write: directory.RecoveryKeyKept) -> None:
    connection.execute(sa.insert(recovery_keys), {"agent_id": write.agent_id, "public_key": write.public_key_der})


def _set_standing(connection: sa.Connection, write: directory.StandingSet) -> None:
    before = connection.execute(_STANDING, {"agent_id": write.agent_id}).scalar_one_or_none()
    if write.only_from is not None and (before or Standing.GOOD) != write.only_from:
        return
    connection.execute(sa.delete(standings).where(standings.c.agent_id == write.agent_id))
    values = {
        "agent_id": write.agent_id, "standing": str(write.standing), "cause": write.cause, "at": write.at.timestamp(),
    }  # fmt: skip
    connection.execute(sa.insert(standings), values)


APPLIERS: Appliers = {
    directory.TicketBound: _bind,
    directory.TicketUsed: _use,
    directory.ReplayNoted: _note_replay,
    directory.EvidenceSpent: _spend,
    directory.RecoveryKeyKept: _keep_recovery_key,
    directory.StandingSet: _set_standing,
}


class Registry:
    """What is remembered of joining, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def bounds(self, ticket_id: str) -> TicketBounds:
        """The bounds of a ticket; none when none were given."""
        for row in await self._read(_BOUNDS, {"ticket_id": ticket_id}):
            return TicketBounds(row.host_name, row.network, row.key_pin)
        return TicketBounds()

    async def use_of(self, ticket_id: str) -> TicketUse | None:
        """Whom a ticket let in."""
        for row in await self._read(_USED, {"ticket_id": ticket_id}):
            told = None if row.told is None else datetime.fromtimestamp(row.told, UTC)
            return TicketUse(row.ticket_id, row.agent_id, told, row.untold)
        return None

    async def recovery_key(self, agent_id: str) -> PublicKey | None:
        rows = await self._read(_RECOVERY_KEY, {"agent_id": agent_id})
        return cast("PublicKey", load_der_public_key(rows[0].public_key)) if rows else None

    async def certificate_ended(self, identity: str) -> datetime | None:
        """When the last certificate of an identity ended or will end."""
        rows = await self._read(_ENDED, {"identity": identity})
        return datetime.fromtimestamp(rows[0][0], UTC) if rows and rows[0][0] is not None else None

    async def living(self, requested_by: str, now: datetime) -> list[tuple[str, str]]:
        """Serial number and issuer of each certificate of a requester that has neither ended nor been revoked."""
        found = await self._read(_LIVING, {"requested_by": requested_by, "now": now.timestamp()})
        return [(row.serial, row.issuer) for row in found]


_FORGET = sa.delete(spent_evidence).where(spent_evidence.c.until < sa.bindparam("now"))
_STANDING = sa.select(standings.c.standing).where(standings.c.agent_id == sa.bindparam("agent_id"))
_BOUNDS = sa.select(ticket_bounds).where(ticket_bounds.c.ticket_id == sa.bindparam("ticket_id"))
_USED = sa.select(ticket_uses).where(ticket_uses.c.ticket_id == sa.bindparam("ticket_id"))
_RECOVERY_KEY = sa.select(recovery_keys.c.public_key).where(recovery_keys.c.agent_id == sa.bindparam("agent_id"))
_certificates = sa.table(
    "certificates", sa.column("serial"), sa.column("issuer"), sa.column("identity"), sa.column("state"),
    sa.column("requested_by"), sa.column("not_after", sa.Float),
)  # fmt: skip
_revocations = sa.table("revocations", sa.column("serial"))
_ENDED = sa.select(sa.func.max(_certificates.c.not_after)).where(
    _certificates.c.identity == sa.bindparam("identity"), _certificates.c.state == "issued"
)
_LIVING = (
    sa.select(_certificates.c.serial, _certificates.c.issuer)
    .join_from(_certificates, _revocations, _revocations.c.serial == _certificates.c.serial, isouter=True)
    .where(
        _certificates.c.requested_by == sa.bindparam("requested_by"), _certificates.c.state == "issued",
        _certificates.c.not_after > sa.bindparam("now"), _revocations.c.serial.is_(None),
    )
)  # fmt: skip
