"""Secrets in tables: what is known of them in clear, what they are only sealed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from handsel.errors import Conflict
from handsel.secrets.model import (
    Deleted,
    Delivered,
    Entry,
    Grant,
    Granted,
    GrantTaken,
    KeyActivated,
    KeyForgotten,
    KeyRecord,
    Kind,
    Rewrapped,
    Sealed,
    Version,
    VersionPut,
)
from handsel.store.adapters.sql import SqlStore, apply_once, journal_table, metadata, one_at_a_time
from handsel.store.outcome import Appliers

_secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("keep", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # of the newest version
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)
_versions = sa.Table(
    "secret_versions",
    metadata,
    sa.Column("version_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("put_at", sa.Float, nullable=False),
    sa.Column("put_by", sa.Text, nullable=False),
    sa.Column("kek", sa.String(64), nullable=False, index=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("name", "number"),
)
_grants = sa.Table(
    "secret_grants",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("grantee", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)
_deliveries = sa.Table(
    "secret_deliveries",
    metadata,
    sa.Column("version_id", sa.String(32), primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)
_keys = sa.Table(
    "secret_keys",
    metadata,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("made", sa.Float, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
)
# All but the sealed value, which may be large.
_FACTS = (
    _versions.c.version_id, _versions.c.name, _versions.c.number, _versions.c.kind, _versions.c.size,
    _versions.c.expires, _versions.c.facts, _versions.c.put_at, _versions.c.put_by,
)  # fmt: skip


def _put(connection: sa.Connection, write: VersionPut) -> None:
    entry, version, sealed = write.entry, write.version, write.sealed
    one_at_a_time(connection, "secrets")
    # While another server moves to a new key, nothing may be sealed under the old one behind its back.
    active = connection.execute(sa.select(_keys.c.key_id).where(_keys.c.active.is_(True))).scalar()
    if active != sealed.kek:
        raise Conflict(f"the key of secrets is {active} by now")
    values = {
        "kind": str(entry.kind), "labels": json.dumps(dict(entry.labels), sort_keys=True), "keep": entry.keep,
        "number": entry.number,
    }  # fmt: skip
    if entry.number == 1:
        if connection.execute(sa.select(_secrets.c.name).where(_secrets.c.name == entry.name)).first():
            raise Conflict(f"{entry.name} was put at the same time")
        made = {"name": entry.name, "created": entry.created.timestamp(), "created_by": entry.created_by}
        connection.execute(sa.insert(_secrets), {**values, **made})
    else:
        is_next = sa.and_(_secrets.c.name == entry.name, _secrets.c.number == entry.number - 1)
        changed = connection.execute(sa.update(_secrets).where(is_next).values(**values)).rowcount
        apply_once(changed, lambda: Conflict(f"{entry.name} was put at the same time, or deleted"))
    connection.execute(sa.insert(_versions), _row(version, sealed))
    old = sa.and_(_versions.c.name == entry.name, _versions.c.number <= entry.number - entry.keep)
    _forget_versions(connection, old)


def _row(version: Version, sealed: Sealed) -> dict[str, Any]:
    return {
        "version_id": version.version_id, "name": version.name, "number": version.number, "kind": str(version.kind),
        "size": version.size, "expires": version.expires.timestamp() if version.expires else None,
        "facts": version.facts, "put_at": version.put_at.timestamp(), "put_by": version.put_by, "kek": sealed.kek,
        "wrapped": sealed.wrapped, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext,
    }  # fmt: skip


def _forget_versions(connection: sa.Connection, which: Any) -> None:
    ids = sa.select(_versions.c.version_id).where(which)
    connection.execute(sa.delete(_deliveries).where(_deliveries.c.version_id.in_(ids)))
    connection.execute(sa.delete(_versions).where(which))


def _delete(connection: sa.Connection, write: Deleted) -> None:
    _forget_versions(connection, _versions.c.name == write.name)
    removed = connection.execute(sa.delete(_secrets).where(_secrets.c.name == write.name)).rowcount
    apply_once(removed, lambda: Conflict(f"there is no secret {write.name}"))


def _grant(connection: sa.Connection, write: Granted) -> None:
    grant = write.grant
    there = sa.and_(_grants.c.unit == grant.unit, _grants.c.grantee == grant.grantee)
    connection.execute(sa.delete(_grants).where(there))
    values = {"unit": grant.unit, "grantee": grant.grantee, "at": grant.at.timestamp(), "by": grant.by}
    connection.execute(sa.insert(_grants), values)


def _take(connection: sa.Connection, write: GrantTaken) -> None:
    there = sa.and_(_grants.c.unit == write.unit, _grants.c.grantee == write.grantee)
    taken = connection.execute(sa.delete(_grants).where(there)).rowcount
    apply_once(taken, lambda: Conflict(f"{write.unit} is not granted to {write.grantee}"))


def _deliver(connection: sa.Connection, write: Delivered) -> None:
    mine = {"version_id": write.version_id, "host": write.host, "service": write.service}
    if connection.execute(_DELIVERY, mine).first():
        raise Conflict(f"{write.host} got it before")
    connection.execute(sa.insert(_deliveries), {**mine, "at": write.at.timestamp()})


def _activate(connection: sa.Connection, write: KeyActivated) -> None:
    one_at_a_time(connection, "secrets")
    active = connection.execute(sa.select(_keys.c.key_id).where(_keys.c.active.is_(True))).scalar()
    if active != write.before:
        raise Conflict(f"the key of secrets is {active} by now")
    record = write.record
    connection.execute(sa.update(_keys).values(active=False))
    connection.execute(sa.delete(_keys).where(_keys.c.key_id == record.key_id))
    values = {"key_id": record.key_id, "place": record.place, "made": record.made.timestamp(), "active": True}
    connection.execute(sa.insert(_keys), values)


def _rewrap(connection: sa.Connection, write: Rewrapped) -> None:
    mine = sa.and_(_versions.c.version_id == write.version_id, _versions.c.kek == write.before)
    changed = sa.update(_versions).where(mine).values(kek=write.kek, wrapped=write.wrapped)
    apply_once(connection.execute(changed).rowcount, lambda: Conflict("the version is gone, or has another key"))


def _forget_key(connection: sa.Connection, write: KeyForgotten) -> None:
    if connection.execute(sa.select(_versions.c.number).where(_versions.c.kek == write.key_id).limit(1)).first():
        raise Conflict(f"something is sealed under {write.key_id}")
    unused = sa.and_(_keys.c.key_id == write.key_id, _keys.c.active.is_(False))
    removed = connection.execute(sa.delete(_keys).where(unused)).rowcount
    apply_once(removed, lambda: Conflict(f"{write.key_id} is in use, or gone"))


_DELIVERY = sa.select(_deliveries.c.at).where(
    _deliveries.c.version_id == sa.bindparam("version_id"), _deliveries.c.host == sa.bindparam("host"),
    _deliveries.c.service == sa.bindparam("service"),
)  # fmt: skip

APPLIERS: Appliers = {
    VersionPut: _put, Deleted: _delete, Granted: _grant, GrantTaken: _take, Delivered: _deliver,
    KeyActivated: _activate, Rewrapped: _rewrap, KeyForgotten: _forget_key,
}  # fmt: skip


class Tables:
    """What is kept, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read
        self._logs = store.logs

    async def entries(self) -> list[Entry]:
        """Every secret, by name."""
        return [_entry(row) for row in await self._read(sa.select(_secrets).order_by(_secrets.c.name))]

    async def entry(self, name: str) -> Entry | None:
        rows = await self._read(_ENTRY, {"name": name})
        return _entry(rows[0]) if rows else None

    async def versions(self, name: str) -> list[Version]:
        """The versions of a secret that are kept, newest first."""
        return [_version(row) for row in await self._read(_VERSIONS, {"name": name})]

    async def newest(self) -> list[Version]:
        """The newest version of every secret, by name."""
        newest = sa.and_(_secrets.c.name == _versions.c.name, _secrets.c.number == _versions.c.number)
        rows = await self._read(sa.select(*_FACTS).join(_secrets, newest).order_by(_versions.c.name))
        return [_version(row) for row in rows]

    async def sealed(self, version_id: str) -> tuple[Version, Sealed] | None:
        rows = await self._read(_SEALED, {"version_id": version_id})
        return (_version(rows[0]), _sealed(rows[0])) if rows else None

    async def grants(self) -> list[Grant]:
        rows = await self._read(sa.select(_grants).order_by(_grants.c.unit, _grants.c.grantee))
        return [Grant(row.unit, row.grantee, _time(row.at), row.by) for row in rows]

    async def was_delivered(self, host: str, service: str, version_id: str) -> bool:
        mine = {"version_id": version_id, "host": host, "service": service}
        return bool(await self._read(_DELIVERY, mine))

    async def keys(self) -> list[KeyRecord]:
        """The key-encryption keys that seal something or did, the active one first."""
        rows = await self._read(sa.select(_keys).order_by(_keys.c.active.desc(), _keys.c.made))
        return [KeyRecord(row.key_id, row.place, _time(row.made), bool(row.active)) for row in rows]

    async def wrapped_by_others(self, active: str, most: int) -> list[tuple[Version, str, bytes]]:
        """Versions whose key is wrapped by another key than this: each with that key's id, and the wrapped key."""
        columns = (*_FACTS, _versions.c.kek, _versions.c.wrapped)
        found = sa.select(*columns).where(_versions.c.kek != active).order_by(_versions.c.version_id).limit(most)
        return [(_version(row), row.kek, row.wrapped) for row in await self._read(found)]

    async def accesses(self, name: str, unit: str, most: int) -> list[dict[str, Any]]:
        """The journal's newest lines about a secret or its unit, oldest first."""
        entry = journal_table.c.entry
        about = [entry.contains(f'"secret":{json.dumps(each)}', autoescape=True) for each in {name, unit}]
        is_ours = sa.and_(entry.contains('"kind":"secret ', autoescape=True), sa.or_(*about))
        lines: list[dict[str, Any]] = []
        for log in await self._logs():
            newest = sa.select(entry).where(journal_table.c.log == log, is_ours).order_by(journal_table.c.number.desc())
            lines += [json.loads(row.entry) for row in await self._read(newest.limit(most))]
        # What is quoted in another field was found too.
        lines = [line for line in lines if line["fields"].get("secret") in (name, unit)]
        lines.reverse()  # for those of the same moment
        return sorted(lines, key=lambda line: str(line["at"]))[-most:]


_ENTRY = sa.select(_secrets).where(_secrets.c.name == sa.bindparam("name"))
_VERSIONS = sa.select(*_FACTS).where(_versions.c.name == sa.bindparam("name")).order_by(_versions.c.number.desc())
_SEALED = sa.select(_versions).where(_versions.c.version_id == sa.bindparam("version_id"))


def _entry(row: Any) -> Entry:
    return Entry(
        row.name, Kind(row.kind), json.loads(row.labels), row.keep, row.number, _time(row.created), row.created_by
    )


def _version(row: Any) -> Version:
    return Version(
        row.name, row.number, row.version_id, Kind(row.kind), row.size,
        None if row.expires is None else _time(row.expires), row.facts, _time(row.put_at), row.put_by,
    )  # fmt: skip


def _sealed(row: Any) -> Sealed:
    return Sealed(row.kek, bytes(row.wrapped), bytes(row.nonce), bytes(row.ciphertext))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
