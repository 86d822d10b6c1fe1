"""State in PostgreSQL, for any number of servers before one database.

A server holds an advisory lock on its log for as long as its writing connection lives: nobody else moves the head of
its chain, and others see by the lock that it is there. What is committed is said by NOTIFY in the same transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from handsel.errors import HandselError, StateError, StateInUse
from handsel.store.adapters import schema
from handsel.store.adapters.database import TRY_LOCK, Database, connected, unreachable
from handsel.store.adapters.sql import SqlStore, Topics
from handsel.store.migrations import HEAD
from handsel.store.outcome import Appliers

_READERS = 4
_CHANNEL = "handsel"
_LOCK_SECONDS = 10.0
"""How long a server that starts waits for its own log: the connection of a killed one ends a moment later."""
_LISTEN_SECONDS = 1.0
_AGAIN_SECONDS = 0.3
_GROUP_FAULTS = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE (PostgreSQL's manual, appendix A) that are no outcome's fault: connection, disk, shutdown, and
what crossed another server."""
_CROSSED = ("40001", "40P01")


class PostgresStore(SqlStore):
    """A `Store` over a database. `log` names this server among the others. Reads wait in threads, never on the loop."""

    _WHEN_WRITING_FAILS = "see that the database runs and has space, then try again"

    def __init__(
        self, database: Database, appliers: Appliers, *, log: str, topics: Topics | None = None,
        read_only: bool = False, migrate: bool = False,
    ) -> None:  # fmt: skip
        self.database = database
        self._readers = database.engine(pool_size=_READERS, max_overflow=0)
        self._reading = ThreadPoolExecutor(_READERS, "store-reader")
        self._closing = threading.Event()
        self._hearing = threading.Event()
        self._writer_pid = 0
        self._committing = False
        engine = database.engine(poolclass=sa.pool.NullPool)
        super().__init__(
            engine, appliers, log=log, topics=topics, read_only=read_only,
            prepare=lambda connection: _prepare(connection, database, migrate=migrate),
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen_until_closed, name="store-listener", daemon=True)
        self._listener.start()
        self._hearing.wait(_LISTEN_SECONDS)  # what is read from here on, later changes are heard of

    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._read_now, statement, parameters)

    def _read_now(self, statement: sa.Executable, parameters: Mapping[str, Any] | None) -> Sequence[sa.Row[Any]]:
        for last in (False, True):
            try:
                with self._readers.connect() as connection:
                    return connection.execute(statement, parameters).fetchall()
            except sa.exc.DBAPIError as error:
                if last or not error.connection_invalidated:
                    raise unreachable(self.database, error) from error
        raise AssertionError  # pragma: no cover

    def is_alive(self, log: str) -> bool:
        """Whether the server with this log holds it now. Asked from a thread. Raises `StateError`."""
        with connected(self.database) as connection:
            return not connection.execute(TRY_LOCK, {"name": _log_lock(log)}).scalar_one()

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(sa.exc.SQLAlchemyError), self._readers.connect() as connection:
            connection.execute(_NOTIFY, {"channel": _CHANNEL, "topic": ""})  # our listener wakes up and sees it
        super().close()
        self._listener.join()

    def _close_connections(self) -> None:
        super()._close_connections()
        self._reading.shutdown()
        self._readers.dispose()

    # The writing connection

    def _connect(self, engine: sa.Engine) -> sa.Connection:
        try:
            connection = super()._connect(engine)
        except sa.exc.DBAPIError as error:
            raise unreachable(self.database, error) from error
        # A server that hangs or vanishes must not hold others up for longer than this.
        for setting in (
            "idle_in_transaction_session_timeout = '15s'", "lock_timeout = '15s'", "tcp_keepalives_idle = 5",
            "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3",
        ):  # fmt: skip
            connection.exec_driver_sql(f"SET {setting}")
        # `off` would answer before the commit is on the disk; every other value waits at least for that.
        if not self.read_only and connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "off":
            connection.exec_driver_sql("SET synchronous_commit = on")
        self._writer_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        return connection

    def _begin_log(self) -> None:
        until = time.monotonic() + _LOCK_SECONDS
        while not self._writer.execute(TRY_LOCK, {"name": _log_lock(self.log)}).scalar_one():
            if time.monotonic() > until:
                raise StateInUse(
                    f"another server writes the log {self.log!r} of {self.database}",
                    next_step="each server needs a state folder of its own; copy keys, not the whole folder",
                )
            time.sleep(0.1)
        super()._begin_log()

    def _ready(self) -> None:
        if self._writer.invalidated or self._writer.closed:
            self._writer.close()
            self._writer = self._connect(self._engine)
            try:
                # Whether the last commit arrived before the connection broke, the journal says.
                self._begin_log()
            except BaseException:
                self._writer.close()  # without our log nothing may be written
                raise

    def _try_group(self, group: list[Any]) -> tuple[dict[int, BaseException], set[str]]:
        self._committing = False
        return super()._try_group(group)

    def _announce(self, topics: set[str]) -> None:
        for topic in sorted(topics):
            self._writer.execute(_NOTIFY, {"channel": _CHANNEL, "topic": topic})
        self._committing = True

    def _may_try_again(self, error: sa.exc.SQLAlchemyError) -> bool:
        if _state(error) in _CROSSED:
            return True
        lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
        return lost and not self._committing  # a commit under way when the connection broke may have been made

    def _is_outcomes_fault(self, error: Exception) -> bool:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            return False
        return not _state(error).startswith(_GROUP_FAULTS)

    # Other servers

    def _listen_until_closed(self) -> None:
        missed = False  # whether there was a time when nobody listened
        while not self._closing.wait(_AGAIN_SECONDS if missed else 0):
            with contextlib.suppress(sa.exc.SQLAlchemyError, HandselError), self._engine.connect() as connection:
                if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
                    self.changes.tell_all()  # a standby of PostgreSQL tells nobody anything: read again
                else:
                    self._listen(connection, missed=missed)
            missed = True

    def _listen(self, connection: sa.Connection, *, missed: bool) -> None:
        from psycopg import Connection, Error  # noqa: PLC0415  # see `Database.engine`

        driver = connection.connection.driver_connection
        assert isinstance(driver, Connection)  # noqa: S101  # SQLAlchemy's dialect of that name
        try:
            driver.execute(f"LISTEN {_CHANNEL}".encode())
            self._hearing.set()
            if missed:
                self.changes.tell_all()
            while not self._closing.is_set():
                for told in driver.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                    if told.pid != self._writer_pid:
                        self.changes.tell((told.payload,), elsewhere=True)
        except Error:
            connection.invalidate()


def found_revision(database: Database) -> str | None:
    """The revision of a database's schema, None for an empty one. Raises `StateError`."""
    with connected(database) as connection:
        return schema.revision(connection, str(database))


def migrate(database: Database) -> None:
    """Bring a database to the newest schema, in one transaction, while no other server does the same."""
    with connected(database) as connection:
        _migrate(connection, database)


def _prepare(connection: sa.Connection, database: Database, *, migrate: bool) -> None:
    if migrate:
        _migrate(connection, database)
    found = schema.revision(connection, str(database))
    if found != HEAD:
        raise StateError(
            f"{database} has {'no tables of handsel' if found is None else f'the schema {found}'}, {HEAD} is needed",
            next_step="handsel config migrate --database ...; or start one server with --migrate",
        )


def _migrate(connection: sa.Connection, database: Database) -> None:
    connection.exec_driver_sql("BEGIN")
    try:
        connection.execute(_LOCK_TO_END, {"name": "handsel migration"})
        found = schema.revision(connection, str(database))
        if found is None:
            schema.make(connection)
        elif found != HEAD:
            schema.migrate(connection, found)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            connection.exec_driver_sql("ROLLBACK")
        raise


_LOCK_TO_END = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_NOTIFY = sa.text("SELECT pg_notify(:channel, :topic)")


def _log_lock(log: str) -> str:
    return f"handsel log {log}"


def _state(error: Exception) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
