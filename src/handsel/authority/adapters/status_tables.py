"""What the validation authority remembers: revocations in the order of their commits, and the newest lists."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority.adapters.tables import certificates, revocations
from handsel.authority.revocation import Reason
from handsel.authority.va.lists import CrlMade
from handsel.authority.va.status import Revocation
from handsel.errors import Conflict
from handsel.store.adapters.sql import SqlStore, metadata, one_at_a_time
from handsel.store.outcome import Appliers

_crls = sa.Table(
    "crls",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("base_number", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("this_update", sa.Float, nullable=False),
    sa.Column("next_update", sa.Float, nullable=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
)


def _make_crl(connection: sa.Connection, write: CrlMade) -> None:
    one_at_a_time(connection, "crls")
    key = {"issuer": write.issuer, "name": write.name}
    found = connection.execute(_NUMBER, key).scalar()
    if found is not None and found >= write.number:
        raise Conflict(f"the list {write.name} of {write.issuer} has the number {found} already")
    values = {
        **key, "number": write.number, "base_number": write.base_number, "sequence": write.sequence,
        "entries": write.entries, "this_update": write.this_update.timestamp(),
        "next_update": write.next_update.timestamp(), "der": write.der,
    }  # fmt: skip
    connection.execute(_FORGET, key)
    connection.execute(sa.insert(_crls), values)


_IS_THIS = (_crls.c.issuer == sa.bindparam("issuer"), _crls.c.name == sa.bindparam("name"))
_NUMBER = sa.select(_crls.c.number).where(*_IS_THIS)
_FORGET = sa.delete(_crls).where(*_IS_THIS)

APPLIERS: Appliers = {CrlMade: _make_crl}


class StatusTables:
    """Revocations and lists, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def revocations(self, after: int) -> list[Revocation]:
        """What was revoked after this sequence, in the order of commits."""
        rows = await self._read(_AFTER, {"after": after})
        return [
            Revocation(
                row.sequence, int(row.serial, 16), row.issuer, datetime.fromtimestamp(row.at, UTC), Reason(row.reason),
                datetime.fromtimestamp(row.not_after, UTC),
                row.identity if row.identity.startswith("spiffe://") else "",
            )
            for row in rows
        ]  # fmt: skip

    async def issued(self, issuer: str, serials: Collection[int]) -> frozenset[int]:
        """Those of these serial numbers that this CA has issued."""
        wanted = [f"{serial:x}" for serial in serials if serial > 0]
        rows = await self._read(_ISSUED, {"issuer": issuer, "serials": wanted}) if wanted else ()
        return frozenset(int(row.serial, 16) for row in rows)

    async def lists(self) -> list[CrlMade]:
        """The newest list of every name."""
        return [
            CrlMade(
                row.issuer, row.name, row.number, row.base_number, row.sequence, row.entries,
                datetime.fromtimestamp(row.this_update, UTC), datetime.fromtimestamp(row.next_update, UTC), row.der,
            )
            for row in await self._read(_LISTS)
        ]  # fmt: skip


_AFTER = (
    sa.select(
        revocations.c.sequence, revocations.c.serial, revocations.c.issuer, revocations.c.at, revocations.c.reason,
        certificates.c.not_after, certificates.c.identity,
    )
    .join_from(revocations, certificates)
    .where(revocations.c.sequence > sa.bindparam("after"))
    .order_by(revocations.c.sequence)
)  # fmt: skip
_ISSUED = sa.select(certificates.c.serial).where(
    certificates.c.serial.in_(sa.bindparam("serials", expanding=True)),
    certificates.c.issuer == sa.bindparam("issuer"), certificates.c.state == "issued",
)  # fmt: skip
_LISTS = sa.select(_crls)
