"""State in one SQLite file: WAL, full durability. An older file is migrated when opened; a copy stays beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from handsel.errors import StateError
from handsel.store.adapters import schema
from handsel.store.adapters.prepared import Prepared
from handsel.store.adapters.sql import PREPARED, SqlStore, Topics
from handsel.store.migrations import HEAD
from handsel.store.outcome import Appliers


class SqliteStore(SqlStore):
    """A `Store` over one file. Call `read` from one thread only."""

    _BEGIN = "BEGIN IMMEDIATE"
    _writing: Prepared

    def __init__(
        self, path: Path, appliers: Appliers, *, topics: Topics | None = None, read_only: bool = False
    ) -> None:
        engine = _engine(path, read_only=read_only)
        self._reader = engine.connect()
        self._prepared = Prepared(self._reader.connection.driver_connection)  # type: ignore[arg-type]  # it is SQLite's
        super().__init__(
            engine, appliers, topics=topics, read_only=read_only,
            prepare=lambda connection: _prepare(connection, path, read_only=read_only),
        )  # fmt: skip

    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        # Inline: a read by key takes microseconds here, a hand-over to a thread more.
        if parameters:
            found = self._prepared.rows(statement, parameters)
            if found is not None:
                return found
        return self._reader.execute(statement, parameters).fetchall()

    def _connect(self, engine: sa.Engine) -> sa.Connection:
        connection = super()._connect(engine)
        self._writing = Prepared(connection.connection.driver_connection)  # type: ignore[arg-type]  # it is SQLite's
        connection.info[PREPARED] = self._writing
        return connection

    def _say(self, words: str) -> None:
        self._writing.say(words)

    def _close_connections(self) -> None:
        self._reader.close()
        super()._close_connections()


def found_revision(path: Path) -> str | None:
    """The revision of a file's schema, None for an empty one. Nothing is changed. Raises `StateError`."""
    engine = _engine(path, read_only=True)
    try:
        with engine.connect() as connection:
            return schema.revision(connection, str(path))
    finally:
        engine.dispose()


def migrate(path: Path) -> Path | None:
    """Bring a file to the newest schema. Gives the copy that was kept of it as it was before, if it was older."""
    engine = _engine(path, read_only=False)
    try:
        with engine.connect() as connection:
            return _migrate(connection, path)
    finally:
        engine.dispose()


def copy(source: Path, target: Path) -> None:
    """A consistent copy of a file that may be in use, by SQLite's online backup. Raises `StateError`."""
    try:
        # Read-only would not do: the log of a file that was not closed must be read too, which needs its index.
        reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
        writer = sqlite3.connect(target)
        try:
            # In one step: it would begin anew whenever somebody commits between two. Writers are not held up by it.
            reader.backup(writer)
            # One file and no log beside it.
            writer.execute("PRAGMA journal_mode = DELETE")
        finally:
            writer.close()
            reader.close()
        target.chmod(0o600)
    except sqlite3.Error as error:
        raise StateError(f"{source} cannot be copied to {target}: {error}", next_step="check the disk") from error


def _prepare(connection: sa.Connection, path: Path, *, read_only: bool) -> None:
    if not read_only:
        _migrate(connection, path)
    elif schema.revision(connection, str(path)) != HEAD:
        raise StateError(
            f"{path} has an older schema, and this server may only read", next_step="start one without --read-only"
        )


def _migrate(connection: sa.Connection, path: Path) -> Path | None:
    found = schema.revision(connection, str(path))
    if found == HEAD:
        schema.complete(connection)
        return None
    kept = None
    if found is not None:
        kept = path.with_name(f"{path.name}.{found}")
        copy(path, kept)
        # Tables are made anew and renamed: rows that point at them must not mind.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        if found is None:
            schema.make(connection)
        else:
            schema.migrate(connection, found)
            _check_references(connection, path)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    return kept


def _check_references(connection: sa.Connection, path: Path) -> None:
    if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise StateError(f"{path} could not be migrated: a row would point at nothing")


def _engine(path: Path, *, read_only: bool) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        # Autocommit: the writer says BEGIN and COMMIT itself. Each connection is used by one thread at a time.
        where = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_master")  # a file that is no database is seen here
            return connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    try:
        connect().close()
    except sqlite3.Error as error:
        raise StateError(f"cannot open {path}: {error}", next_step="check the folder's owner and mode") from error
    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
