"""Nonces of ACME (RFC 8555, section 6.5) for several servers with one database: valid at each, taken by one once.

The key that seals them lies in the database. What was used is a row, made in the commit that the request leads to, so
a replay at another server finds it, whoever was first. Each start of a server gets a number of its own for its nonces.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handsel.authority.adapters.nonces import LIFETIME_SECONDS, SealedNonces
from handsel.errors import Conflict, NonceSpent
from handsel.store.adapters.sql import SqlStore, metadata, one_at_a_time
from handsel.store.outcome import Appliers, Writes

_keys = sa.Table(
    "acme_nonce_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("starts", sa.BigInteger, nullable=False),  # how many servers started with it: their prefixes
)
_spent = sa.Table(
    "acme_nonces",
    metadata,
    sa.Column("prefix", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("counter", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
)
_ONLY = 1
_MOST_STARTS = (1 << 32) - 1


@dataclass(frozen=True)
class KeyMade:
    """The key of all servers. Conflicts when there is one."""

    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Started:
    """A server takes the next number. Conflicts when another one took it first."""

    number: int


@dataclass(frozen=True)
class Spent:
    """A nonce is used. Raises `NonceSpent` when it was used before."""

    prefix: int
    counter: int
    at: float


@dataclass(frozen=True)
class Forgotten:
    """Nonces used before this time are too old to be believed anyway."""

    before: float


def _make_key(connection: sa.Connection, write: KeyMade) -> None:
    one_at_a_time(connection, "nonce key")
    if connection.execute(_KEY).first() is not None:
        raise Conflict("there is a key already")
    connection.execute(sa.insert(_keys), {"id": _ONLY, "key": write.key, "starts": 0})


def _start(connection: sa.Connection, write: Started) -> None:
    taken = sa.update(_keys).where(_keys.c.starts == write.number - 1).values(starts=write.number)
    if connection.execute(taken).rowcount != 1:
        raise Conflict("another server took this number")


def _spend(connection: sa.Connection, write: Spent) -> None:
    try:
        connection.execute(_SPEND, {"prefix": write.prefix, "counter": write.counter, "at": write.at})
    except sa.exc.IntegrityError as error:
        raise NonceSpent("this nonce was used before") from error


def _forget(connection: sa.Connection, write: Forgotten) -> None:
    connection.execute(sa.delete(_spent).where(_spent.c.at < write.before))


APPLIERS: Appliers = {KeyMade: _make_key, Started: _start, Spent: _spend, Forgotten: _forget}
_KEY = sa.select(_keys.c.key, _keys.c.starts)
_SPEND = sa.insert(_spent)


class SharedNonces:
    """The nonces of one of several servers. `open` gives it."""

    def __init__(self, sealed: SealedNonces, clock: Callable[[], float]) -> None:
        self._sealed = sealed
        self._clock = clock

    @classmethod
    async def open(cls, store: SqlStore, clock: Callable[[], float] = time.time) -> SharedNonces:
        """Nonces under the key of all servers, which the first one makes."""
        while True:
            rows = await store.read(_KEY)
            write = Started(rows[0].starts + 1) if rows else KeyMade(AESGCM.generate_key(128))
            try:
                await store.commit((write,))
            except Conflict:
                continue  # another server was faster: look again
            if isinstance(write, Started):
                # The number, and so the prefix, is used by nobody else: no two nonces have the same iv.
                prefix = (write.number & _MOST_STARTS).to_bytes(4, "big")
                return cls(SealedNonces(rows[0].key, prefix, clock), clock)

    def mint(self) -> str:
        """See `Nonces.mint`."""
        return self._sealed.mint()

    def spend(self, nonce: str) -> Writes:
        """See `Nonces.spend`: whether it was used before is found out by the commit, which raises `NonceSpent`."""
        prefix, counter = self._sealed.open(nonce)
        return (Spent(int.from_bytes(prefix, "big"), counter, self._clock()),)


def forget(now: float) -> Writes:
    """What takes the rows of old nonces away. For whoever does periodic work."""
    return (Forgotten(now - 2 * LIFETIME_SECONDS),)
