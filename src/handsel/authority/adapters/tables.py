"""The authority's directory in tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from handsel.authority.adapters.attest_tables import standings
from handsel.authority.directory import Abandoned, HostJoined, Intended, Issued, Record, TicketMade, TicketRedeemed
from handsel.authority.key_use import KeyUse
from handsel.authority.model import Host, Standing, Ticket
from handsel.authority.revocation import Reason, Revoked
from handsel.errors import Conflict
from handsel.pki.certificate import Certificate
from handsel.store.adapters.sql import SqlStore, apply_once, metadata, one_at_a_time, run
from handsel.store.outcome import Appliers

_UNUSED = sa.text("NOT redeemed")
_tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("derived_key", sa.LargeBinary, nullable=False),
    sa.Column("services", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("redeemed", sa.Boolean, nullable=False),
    sa.Index("tickets_unused", "expires", sqlite_where=_UNUSED, postgresql_where=_UNUSED),
)
_hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("agent_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("services", sa.Text, nullable=False),
    sa.Column("joined", sa.Float, nullable=False),
)
_NUMBERED = sa.text("number IS NOT NULL")
certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("serial", sa.Text, primary_key=True),
    sa.Column("identity", sa.Text, nullable=False, index=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("key_pin", sa.Text, nullable=False, index=True),
    sa.Column("fingerprint", sa.Text, index=True),
    sa.Column("not_before", sa.Float, nullable=False),
    sa.Column("not_after", sa.Float, nullable=False, index=True),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # intended, issued or abandoned
    sa.Column("log", sa.Text, nullable=False),  # the server that intended it, by its log in the journal
    sa.Column("der", sa.LargeBinary),
    sa.Column("number", sa.BigInteger),  # of those that this log issued: the last one says how many there are
    sa.Index("certificates_issued", "log", "number", unique=True, sqlite_where=_NUMBERED, postgresql_where=_NUMBERED),
)
_IS_UNFINISHED = certificates.c.state == sa.literal_column("'intended'")  # as text, or the index would not be used
sa.Index(
    "certificates_unfinished", certificates.c.log, sqlite_where=_IS_UNFINISHED, postgresql_where=_IS_UNFINISHED
)  # few are, and they are asked for again and again
certificate_names = sa.Table(
    "certificate_names",
    metadata,
    sa.Column("serial", sa.Text, sa.ForeignKey("certificates.serial"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, index=True),
)


revocations = sa.Table(
    "revocations",
    metadata,
    sa.Column("serial", sa.Text, sa.ForeignKey("certificates.serial"), primary_key=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("reason", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False, unique=True),  # the order of commits
)


def _make_ticket(connection: sa.Connection, write: TicketMade) -> None:
    ticket = write.ticket
    connection.execute(
        sa.insert(_tickets),
        {
            "ticket_id": ticket.ticket_id,
            "derived_key": ticket.derived_key,
            "services": " ".join(ticket.services),
            "expires": ticket.expires.timestamp(),
            "redeemed": False,
        },
    )


def _redeem_ticket(connection: sa.Connection, write: TicketRedeemed) -> None:
    statement = (
        sa.update(_tickets)
        .where(_tickets.c.ticket_id == write.ticket_id, _tickets.c.redeemed == sa.false())
        .values(redeemed=True)
    )
    apply_once(connection.execute(statement).rowcount, lambda: Conflict("the ticket was used before"))


def _join_host(connection: sa.Connection, write: HostJoined) -> None:
    host = write.host
    connection.execute(
        sa.insert(_hosts),
        {
            "agent_id": host.agent_id,
            "name": host.name,
            "services": " ".join(host.services),
            "joined": host.joined.timestamp(),
        },
    )


def _intend(connection: sa.Connection, write: Intended) -> None:
    values = {
        "serial": write.serial, "identity": write.identity, "issuer": write.issuer, "profile": write.profile,
        "key_pin": write.key_pin, "not_before": write.not_before.timestamp(),
        "not_after": write.not_after.timestamp(), "requested_by": write.requested_by, "state": "intended",
        "log": connection.info["log"],
    }  # fmt: skip
    run(connection, _INTEND, values)
    names = [{"serial": write.serial, "name": name} for name in write.names]
    if len(names) == 1:
        run(connection, _NAME, names[0])
    else:  # many in one go, which a database that is elsewhere needs
        connection.execute(_NAME, names)


def _issue(connection: sa.Connection, write: Issued) -> None:
    values = {"of": write.serial, "der": write.der, "fingerprint": write.fingerprint}
    _settle(connection, _ISSUE, values)


def _abandon(connection: sa.Connection, write: Abandoned) -> None:
    _settle(connection, _ABANDON, {"of": write.serial})


def _settle(connection: sa.Connection, statement: sa.Update, values: Mapping[str, object]) -> None:
    changed = run(connection, statement, values)
    apply_once(changed, lambda: Conflict(f"serial {values['of']} was not intended"))


def _revoke(connection: sa.Connection, write: Revoked) -> None:
    # One server at a time: who has read up to a sequence never looks below it again.
    one_at_a_time(connection, "revocations")
    values = {
        "serial": write.serial, "issuer": write.issuer, "reason": int(write.reason), "at": write.at.timestamp(),
        "by": write.by, "sequence": connection.execute(_LAST_REVOCATION).scalar_one() + 1,
    }  # fmt: skip
    try:
        connection.execute(sa.insert(revocations), values)
    except sa.exc.IntegrityError as error:
        raise Conflict(f"{write.serial} was revoked before, or never issued") from error


_numbered = certificates.alias("numbered")
_NEXT_NUMBER = (
    sa.select(sa.func.coalesce(sa.func.max(_numbered.c.number), 0) + 1)
    .where(_numbered.c.log == certificates.c.log, _numbered.c.number.is_not(None))
    .scalar_subquery()
)
_SETTLE = sa.update(certificates).where(certificates.c.serial == sa.bindparam("of"), _IS_UNFINISHED)
_ISSUE = _SETTLE.values(
    state="issued", der=sa.bindparam("der"), fingerprint=sa.bindparam("fingerprint"), number=_NEXT_NUMBER
)
_ABANDON = _SETTLE.values(state="abandoned")
_INTEND, _NAME = sa.insert(certificates), sa.insert(certificate_names)
_LAST_REVOCATION = sa.select(sa.func.coalesce(sa.func.max(revocations.c.sequence), 0))

APPLIERS: Appliers = {
    TicketMade: _make_ticket,
    TicketRedeemed: _redeem_ticket,
    HostJoined: _join_host,
    Intended: _intend,
    Issued: _issue,
    Abandoned: _abandon,
    Revoked: _revoke,
}


class Directory:
    """What the authority remembers, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read
        self._log = store.log

    async def ticket(self, ticket_id: str) -> Ticket | None:
        for row in await self._read(sa.select(_tickets).where(_tickets.c.ticket_id == ticket_id)):
            return Ticket(
                row.ticket_id,
                row.derived_key,
                tuple(row.services.split()),
                datetime.fromtimestamp(row.expires, UTC),
                redeemed=row.redeemed,
            )
        return None

    async def host(self, agent_id: str) -> Host | None:
        found = await self._hosts(_HOST, {"agent_id": agent_id})
        return found[0] if found else None

    async def hosts(self) -> list[Host]:
        """Every host that has joined, in the order of joining."""
        return await self._hosts(_HOSTS.order_by(_hosts.c.joined), {})

    async def unfinished(self, log: str | None = None) -> list[str]:
        """Serials that a server (this one, when none is named) intended and never settled."""
        rows = await self._read(_UNFINISHED, {"log": log or self._log})
        return [row.serial for row in rows]

    async def unfinished_since(self, moment: datetime) -> list[str]:
        """Serials of any server that were intended before a time, as their validity tells it, and never settled."""
        rows = await self._read(_UNFINISHED_SINCE, {"moment": moment.timestamp()})
        return [row.serial for row in rows]

    async def unfinished_logs(self) -> list[str]:
        """The servers that have unsettled intentions, by their logs."""
        found = sa.select(certificates.c.log).where(_IS_UNFINISHED).distinct()
        return [row.log for row in await self._read(found)]

    async def is_empty(self) -> bool:
        """Whether no certificate was ever intended."""
        return not await self._read(sa.select(certificates.c.serial).limit(1))

    async def issued_count(self) -> int:
        """How many certificates were issued."""
        rows = await self._read(_ISSUED_COUNT)
        return int(rows[0][0])

    async def issued(self, serial: str) -> Certificate | None:
        """A certificate that was issued, by its serial number in lower-case hex."""
        rows = await self._read(_ISSUED, {"serial": serial})
        return Certificate(rows[0].der) if rows else None

    async def record(self, serial: str) -> Record | None:
        """What is known of a certificate that was issued."""
        rows = await self._read(_RECORD, {"serial": serial})
        return _record(rows[0]) if rows else None

    async def key_users(self, pins: Collection[str]) -> list[KeyUse]:
        """The certificates that were issued for these keys (see `handsel.pki.keys.pin`), whether they live or not."""
        if len(pins) == 1:  # a list among the parameters is what cannot be prepared
            rows = await self._read(_KEY_USERS_OF_ONE, {"pin": next(iter(pins))})
        else:
            rows = await self._read(_KEY_USERS, {"pins": list(pins)})
        if not rows:  # the usual case: a fresh key
            return []
        names: dict[str, set[str]] = {}
        for row in await self._read(_NAMES_OF, {"serials": [row.serial for row in rows]}):
            names.setdefault(row.serial, set()).add(row.name)
        return [
            KeyUse(
                row.key_pin, row.serial, row.requested_by, frozenset(names.get(row.serial, ())),
                datetime.fromtimestamp(row.not_after, UTC), revoked=row.reason is not None,
                compromised=row.reason in _COMPROMISED,
            )
            for row in rows
        ]  # fmt: skip

    async def requested_by(self, serial: str) -> str | None:
        """Who asked for a certificate: `agent/ID`, `account/ID` or `server`."""
        rows = await self._read(sa.select(certificates.c.requested_by).where(certificates.c.serial == serial))
        return rows[0].requested_by if rows else None

    async def _hosts(self, statement: sa.Executable, parameters: dict[str, str]) -> list[Host]:
        return [_host(row) for row in await self._read(statement, parameters)]


def _host(row: sa.Row[Any]) -> Host:
    return Host(
        row.agent_id, row.name, tuple(row.services.split()), datetime.fromtimestamp(row.joined, UTC),
        Standing(row.standing or Standing.GOOD), row.cause or "",
    )  # fmt: skip


def _record(row: sa.Row[Any]) -> Record:
    return Record(
        Certificate(row.der), row.issuer, row.profile, row.requested_by,
        datetime.fromtimestamp(row.at, UTC) if row.at is not None else None,
        Reason(row.reason) if row.reason is not None else None,
    )  # fmt: skip


_HOSTS = sa.select(_hosts, standings.c.standing, standings.c.cause).join_from(
    _hosts, standings, standings.c.agent_id == _hosts.c.agent_id, isouter=True
)
_HOST = _HOSTS.where(_hosts.c.agent_id == sa.bindparam("agent_id"))
_RECORD = (
    sa.select(
        certificates.c.der, certificates.c.issuer, certificates.c.profile, certificates.c.requested_by,
        revocations.c.at, revocations.c.reason,
    )
    .join_from(certificates, revocations, isouter=True)
    .where(certificates.c.serial == sa.bindparam("serial"), certificates.c.state == "issued")
)  # fmt: skip
_UNFINISHED = sa.select(certificates.c.serial).where(certificates.c.log == sa.bindparam("log"), _IS_UNFINISHED)
_UNFINISHED_SINCE = sa.select(certificates.c.serial).where(
    certificates.c.not_before < sa.bindparam("moment"), _IS_UNFINISHED
)
_COMPROMISED = (Reason.KEY_COMPROMISE, Reason.CA_COMPROMISE, Reason.AA_COMPROMISE)
_OF_KEYS = (
    sa.select(
        certificates.c.key_pin, certificates.c.serial, certificates.c.requested_by, certificates.c.not_after,
        revocations.c.reason,
    )
    .join_from(certificates, revocations, isouter=True)
    .where(certificates.c.state == "issued")
)  # fmt: skip
_KEY_USERS = _OF_KEYS.where(certificates.c.key_pin.in_(sa.bindparam("pins", expanding=True)))
_KEY_USERS_OF_ONE = _OF_KEYS.where(certificates.c.key_pin == sa.bindparam("pin"))
_NAMES_OF = sa.select(certificate_names).where(certificate_names.c.serial.in_(sa.bindparam("serials", expanding=True)))
_ISSUED_COUNT = sa.text("""
WITH RECURSIVE logs(log) AS (
    SELECT min(log) FROM certificates WHERE number IS NOT NULL
    UNION ALL
    SELECT (SELECT min(log) FROM certificates WHERE log > logs.log AND number IS NOT NULL)
    FROM logs WHERE logs.log IS NOT NULL
)
SELECT coalesce(sum((SELECT max(number) FROM certificates WHERE log = logs.log AND number IS NOT NULL)), 0) FROM logs
""")
"""The last number of each log, found by as many steps in the index as there are logs."""
_ISSUED = sa.select(certificates.c.der).where(
    certificates.c.serial == sa.bindparam("serial"), certificates.c.state == "issued"
)
