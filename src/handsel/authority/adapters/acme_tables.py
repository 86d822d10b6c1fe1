"""ACME's objects in tables: what is searched in columns, the whole as JSON. A change must fit the revision it is of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from handsel.acme.lifecycle import Status
from handsel.acme.problems import Identifier
from handsel.authority.acme.model import Account, Authorization, Challenge, ExternalKey, Order, Saved
from handsel.authority.adapters.tables import certificates
from handsel.errors import Conflict
from handsel.pki.secret import Secret
from handsel.store.adapters.sql import SqlStore, apply_once, metadata, run
from handsel.store.outcome import Appliers

_IN_PROCESS = sa.text("status = 'processing'")
"""As a literal, in the indexes and in what asks: a parameter would not find a partial index."""
_AHEAD = "ahead"

_accounts = sa.Table(
    "acme_accounts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("thumbprint", sa.Text, nullable=False, unique=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_orders = sa.Table(
    "acme_orders",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False, index=True),
    sa.Column("replaces", sa.Text, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("acme_orders_in_process", "status", sqlite_where=_IN_PROCESS, postgresql_where=_IN_PROCESS),
)
_authorizations = sa.Table(
    "acme_authorizations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("identifier", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False, index=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("acme_authorizations_by_name", "account", "identifier", "status"),
    sa.Index("acme_authorizations_in_process", "status", sqlite_where=_IN_PROCESS, postgresql_where=_IN_PROCESS),
)
_external_keys = sa.Table(
    "acme_external_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)


def _columns(what: Account | Authorization | Order | ExternalKey) -> tuple[sa.Table, dict[str, Any]]:
    match what:
        case Account():
            return _accounts, {"id": what.account_id, "thumbprint": what.thumbprint}
        case Order():
            # An order that came to nothing gives free what it was to replace (RFC 9773, section 5).
            successor_of = what.replaces if what.status is not Status.INVALID else None
            return _orders, {
                "id": what.order_id, "account": what.account_id, "created": what.created.timestamp(),
                "expires": what.expires.timestamp(), "replaces": successor_of, "status": what.status,
            }  # fmt: skip
        case Authorization():
            return _authorizations, {
                "id": what.authorization_id, "account": what.account_id, "identifier": what.identifier.value,
                "expires": what.expires.timestamp(), "status": _searched_as(what),
            }  # fmt: skip
        case ExternalKey():
            return _external_keys, {"id": what.key_id}


def _searched_as(authorization: Authorization) -> str:
    """Its status, except for the few that are looked for among many: being validated, and proven ahead of orders."""
    being_validated = any(each.status is Status.PROCESSING for each in authorization.challenges)
    match authorization.status:
        case Status.PENDING if being_validated:
            return Status.PROCESSING
        case Status.VALID if authorization.ahead:
            return _AHEAD
        case status:
            return status


def _save(connection: sa.Connection, write: Saved) -> None:
    what = write.what
    table, columns = _columns(what)
    saved = columns | {"revision": what.revision + 1, "body": _encode(replace(what, revision=what.revision + 1))}
    try:
        if what.revision == 0:
            run(connection, _INSERT[table], saved)
            return
        changed = run(connection, _UPDATE[table], saved | {"of": columns["id"], "before": what.revision})
    except sa.exc.IntegrityError as error:
        raise Conflict(f"{table.name}: another one holds what must be unique") from error
    apply_once(changed, lambda: Conflict(f"{table.name} {columns['id']} was changed meanwhile"))


_TABLES = (_accounts, _orders, _authorizations, _external_keys)
_INSERT = {table: sa.insert(table) for table in _TABLES}
_UPDATE = {
    table: sa.update(table).where(table.c.id == sa.bindparam("of"), table.c.revision == sa.bindparam("before"))
    for table in _TABLES
}
APPLIERS: Appliers = {Saved: _save}


class AcmeObjects:
    """The objects, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def account(self, account_id: str) -> Account | None:
        return _first(await self._read(_BY_ID[_accounts], {"id": account_id}), Account)

    async def account_of_key(self, thumbprint: str) -> Account | None:
        return _first(await self._read(_BY_THUMBPRINT, {"thumbprint": thumbprint}), Account)

    async def order(self, order_id: str) -> Order | None:
        return _first(await self._read(_BY_ID[_orders], {"id": order_id}), Order)

    async def order_replacing(self, certificate_id: str) -> Order | None:
        """The order that replaces a certificate (RFC 9773), if there is one."""
        return _first(await self._read(_REPLACING, {"replaces": certificate_id}), Order)

    async def orders_of(self, account_id: str, *, after: Order | None, alive_from: datetime, most: int) -> list[Order]:
        """An account's orders, oldest first, from the one that follows `after`.

        Without those that came to nothing, among them pending ones that were made before `alive_from`.
        """
        parameters = {
            "account": account_id, "alive_from": alive_from.timestamp(), "most": most,
            "created": after.created.timestamp() if after else 0.0, "id": after.order_id if after else "",
        }  # fmt: skip
        return [_decode(row.body, Order) for row in await self._read(_ORDERS_OF, parameters)]

    async def open_work(self, account_id: str) -> list[Order | Authorization]:
        """What ends with an account: its unfinished orders, and its authorizations that are pending or valid."""
        parameters = {"account": account_id}
        found = await self._read(_OPEN_ORDERS, parameters)
        proven = await self._read(_OPEN_AUTHORIZATIONS, parameters)
        return [*(_decode(row.body, Order) for row in found), *(_decode(row.body, Authorization) for row in proven)]

    async def abandoned(self, serials: Sequence[str]) -> set[str]:
        """Those of some serials whose intention was given up."""
        statement = sa.select(certificates.c.serial).where(
            certificates.c.serial.in_(serials), certificates.c.state == "abandoned"
        )
        return {row.serial for row in await self._read(statement)}

    async def orders_in_process(self) -> list[Order]:
        """Orders whose certificate was being made."""
        rows = await self._read(sa.select(_orders.c.body).where(_IN_PROCESS))
        return [_decode(row.body, Order) for row in rows]

    async def authorization(self, authorization_id: str) -> Authorization | None:
        return _first(await self._read(_BY_ID[_authorizations], {"id": authorization_id}), Authorization)

    async def authorizations(self, ids: Sequence[str]) -> list[Authorization]:
        """These authorizations, in this order."""
        if len(ids) == 1:
            found = await self.authorization(ids[0])
            return [found] if found else []
        rows = await self._read(_BY_IDS, {"ids": list(ids)})
        by_id = {row.id: _decode(row.body, Authorization) for row in rows}
        return [by_id[each] for each in ids if each in by_id]

    async def valid_authorizations(self, account_id: str, identifiers: Sequence[str]) -> list[Authorization]:
        """What an account has proven about these names."""
        rows = await self._read(_PROVEN, {"account": account_id, "identifiers": list(identifiers)})
        return [_decode(row.body, Authorization) for row in rows]

    async def proven_ahead(self, account_id: str, identifiers: Sequence[str]) -> list[Authorization]:
        """What an account has proven about these names before any order."""
        if len(identifiers) == 1:  # the usual case; a list among the parameters is what cannot be prepared
            rows = await self._read(_ONE_PROVEN_AHEAD, {"account": account_id, "identifier": identifiers[0]})
        else:
            rows = await self._read(_PROVEN_AHEAD, {"account": account_id, "identifiers": list(identifiers)})
        return [_decode(row.body, Authorization) for row in rows]

    async def authorizations_in_process(self) -> list[Authorization]:
        """Pending authorizations of which a challenge was being looked at."""
        statement = sa.select(_authorizations.c.body).where(_IN_PROCESS)
        return [_decode(row.body, Authorization) for row in await self._read(statement)]

    async def external_key(self, key_id: str) -> ExternalKey | None:
        return _first(await self._read(_BY_ID[_external_keys], {"id": key_id}), ExternalKey)

    async def external_keys(self) -> list[ExternalKey]:
        rows = await self._read(sa.select(_external_keys.c.body).order_by(_external_keys.c.id))
        return [_decode(row.body, ExternalKey) for row in rows]

    async def accounts(self, *, after: str = "", most: int = 1000) -> list[Account]:
        """Accounts in the order of their ids, from the one that follows `after`."""
        statement = sa.select(_accounts.c.body).where(_accounts.c.id > after).order_by(_accounts.c.id).limit(most)
        return [_decode(row.body, Account) for row in await self._read(statement)]


_BY_ID = {table: sa.select(table.c.body).where(table.c.id == sa.bindparam("id")) for table in _TABLES}
_BY_THUMBPRINT = sa.select(_accounts.c.body).where(_accounts.c.thumbprint == sa.bindparam("thumbprint"))
_BY_IDS = sa.select(_authorizations.c.id, _authorizations.c.body).where(
    _authorizations.c.id.in_(sa.bindparam("ids", expanding=True))
)
_REPLACING = sa.select(_orders.c.body).where(_orders.c.replaces == sa.bindparam("replaces"))
_OF_ACCOUNT = _orders.c.account == sa.bindparam("account")
_ORDERS_OF = (
    sa.select(_orders.c.body)
    .where(
        _OF_ACCOUNT,
        sa.or_(
            _orders.c.created > sa.bindparam("created"),
            sa.and_(_orders.c.created == sa.bindparam("created"), _orders.c.id > sa.bindparam("id")),
        ),
        sa.or_(
            _orders.c.status == Status.VALID,
            sa.and_(_orders.c.status != Status.INVALID, _orders.c.created > sa.bindparam("alive_from")),
        ),
    )
    .order_by(_orders.c.created, _orders.c.id)
    .limit(sa.bindparam("most"))
)
_OPEN_ORDERS = sa.select(_orders.c.body).where(_OF_ACCOUNT, _orders.c.status.in_([Status.PENDING, Status.PROCESSING]))
_OPEN_AUTHORIZATIONS = sa.select(_authorizations.c.body).where(
    _authorizations.c.account == sa.bindparam("account"),
    _authorizations.c.status.in_([Status.PENDING, Status.PROCESSING, Status.VALID, _AHEAD]),
)
_OF_NAMES = sa.select(_authorizations.c.body).where(
    _authorizations.c.account == sa.bindparam("account"),
    _authorizations.c.identifier.in_(sa.bindparam("identifiers", expanding=True)),
)
_PROVEN = _OF_NAMES.where(_authorizations.c.status.in_([Status.VALID, _AHEAD]))
_ONE_PROVEN_AHEAD = sa.select(_authorizations.c.body).where(
    _authorizations.c.account == sa.bindparam("account"),
    _authorizations.c.identifier == sa.bindparam("identifier"), _authorizations.c.status == _AHEAD,
)  # fmt: skip
_PROVEN_AHEAD = _OF_NAMES.where(_authorizations.c.status == _AHEAD)


_Object = TypeVar("_Object")


def _first(rows: Sequence[Any], kind: type[_Object]) -> _Object | None:
    return _decode(rows[0].body, kind) if rows else None


def _plain(value: object) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Secret():
            return base64.b64encode(value.reveal()).decode()
        case _ if is_dataclass(value):
            return {each.name: getattr(value, each.name) for each in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} is not stored")


_encode = json.JSONEncoder(default=_plain).encode


def _decode(body: str, kind: type[_Object]) -> _Object:
    return cast("_Object", _remembered(body, kind))  # type: ignore[arg-type]  # every class is hashable


@lru_cache(maxsize=4096)
def _remembered(body: str, kind: type) -> object:
    """The last few thousand objects, which nobody changes: a client's account is read at each of its requests."""
    return _made(json.loads(body), kind)


def _made(content: Mapping[str, Any], kind: type[_Object]) -> _Object:
    readers = _READERS[kind]
    known = _FIELDS[kind]
    return kind(**{
        name: readers[name](value) if name in readers else value for name, value in content.items() if name in known
    })  # fmt: skip


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _identifiers(found: list[Any]) -> tuple[Identifier, ...]:
    return tuple(Identifier(**each) for each in found)


_READERS: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Account: {"contact": tuple, "created": _time, "status": Status},
    Challenge: {"status": Status, "validated": _time},
    Order: {
        "identifiers": _identifiers, "authorizations": tuple, "created": _time, "expires": _time, "not_after": _time,
        "status": Status,
    },
    Authorization: {
        "identifier": lambda found: Identifier(**found), "expires": _time, "status": Status,
        "challenges": lambda found: tuple(_made(each, Challenge) for each in found),
    },
    ExternalKey: {
        "secret": lambda text: Secret(base64.b64decode(text)), "created": _time, "expires": _time, "removed": _time,
        "names": tuple,
    },
}  # fmt: skip
_FIELDS = {kind: frozenset(each.name for each in fields(kind)) for kind in _READERS}
