"""The directory, searched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from handsel.authority.adapters.tables import certificate_names, certificates, revocations
from handsel.authority.revocation import Reason
from handsel.authority.search import Found, State, Wanted
from handsel.store.adapters.sql import SqlStore

_COLUMNS = (
    certificates.c.serial, certificates.c.identity, certificates.c.issuer, certificates.c.profile,
    certificates.c.requested_by, certificates.c.fingerprint, certificates.c.not_before, certificates.c.not_after,
    revocations.c.at, revocations.c.reason,
)  # fmt: skip


class Search:
    """Questions to the directory that people ask."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def find(self, wanted: Wanted, *, now: datetime) -> list[Found]:
        """What matches, by serial number."""
        statement = (
            sa.select(*_COLUMNS)
            .join_from(certificates, revocations, isouter=True)
            .where(certificates.c.state == "issued", *_conditions(wanted, now))
            .order_by(certificates.c.serial)
            .limit(wanted.most)
        )
        rows = await self._read(statement)
        names = await self._names([row.serial for row in rows])
        return [_found(row, names.get(row.serial, ())) for row in rows]

    async def ends(self, *, now: datetime, until: timedelta) -> list[tuple[datetime, str]]:
        """When certificates end that are valid now and end within that time, with their profile."""
        statement = (
            sa.select(certificates.c.not_after, certificates.c.profile)
            .join_from(certificates, revocations, isouter=True)
            .where(
                certificates.c.state == "issued",
                certificates.c.not_after >= now.timestamp(),
                certificates.c.not_after < (now + until).timestamp(),
                revocations.c.at.is_(None),
            )
        )
        return [(_moment(row.not_after), row.profile) for row in await self._read(statement)]

    async def _names(self, serials: list[str]) -> dict[str, tuple[str, ...]]:
        statement = sa.select(certificate_names).where(certificate_names.c.serial.in_(serials))
        found: dict[str, tuple[str, ...]] = {}
        for row in await self._read(statement):
            found[row.serial] = (*found.get(row.serial, ()), row.name)
        return found


def _conditions(wanted: Wanted, now: datetime) -> list[sa.ColumnElement[bool]]:
    table = certificates.c
    found: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (table.serial, wanted.serial), (table.identity, wanted.identity), (table.fingerprint, wanted.fingerprint),
        (table.profile, wanted.profile), (table.issuer, wanted.issuer),
    ):  # fmt: skip
        if value is not None:
            found.append(column == value)
    if wanted.name is not None:
        found.append(table.serial.in_(sa.select(certificate_names.c.serial).where(_matches(wanted.name))))
    if wanted.issued_since is not None:
        found.append(table.not_before >= wanted.issued_since.timestamp())
    if wanted.ends_before is not None:
        found += [table.not_after >= now.timestamp(), table.not_after < wanted.ends_before.timestamp()]
    if wanted.after is not None:
        found.append(table.serial > wanted.after)
    match wanted.state:
        case State.REVOKED:
            found.append(revocations.c.at.is_not(None))
        case State.VALID:
            found += [revocations.c.at.is_(None), table.not_after > now.timestamp()]
        case State.EXPIRED:
            found += [revocations.c.at.is_(None), table.not_after <= now.timestamp()]
    return found


def _matches(name: str) -> sa.ColumnElement[bool]:
    if "*" not in name:
        return certificate_names.c.name == name
    # A star that stands first may also be the one of a wildcard certificate: it matches itself.
    escaped = name.replace("/", "//").replace("%", "/%").replace("_", "/_").replace("*", "%")
    return certificate_names.c.name.like(escaped, escape="/")


def _found(row: sa.Row[Any], names: tuple[str, ...]) -> Found:
    return Found(
        row.serial, row.identity, names, row.issuer, row.profile, row.requested_by, row.fingerprint,
        _moment(row.not_before), _moment(row.not_after), _moment(row.at) if row.at is not None else None,
        Reason(row.reason).name.lower() if row.reason is not None else None,
    )  # fmt: skip


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
