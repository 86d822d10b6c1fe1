"""State in one SQLite file: WAL, full durability."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from handsel.errors import StateError
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

SCHEMA_VERSION = 2


class SqliteStore(SqlStore):
    """A `Store` over one file. Call `read` from one thread only."""

    _BEGIN = "BEGIN IMMEDIATE"

    def __init__(self, path: Path, appliers: Appliers) -> None:
        engine = _engine(path)
        self._reader = engine.connect()
        super().__init__(engine, appliers, prepare=lambda connection: _prepare_schema(connection, path))

    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        # Inline: a read by key takes microseconds here, a hand-over to a thread more.
        return self._reader.execute(statement, parameters).fetchall()

    def _close_connections(self) -> None:
        self._reader.close()
        super()._close_connections()


def _prepare_schema(connection: sa.Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if found > SCHEMA_VERSION:
        raise StateError(
            f"{path} was written by a newer handsel (schema {found}, this one knows {SCHEMA_VERSION})",
            next_step="use that version, or another --state folder",
        )
    if found < SCHEMA_VERSION:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.exec_driver_sql("COMMIT")


def _engine(path: Path) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        # Autocommit: the writer says BEGIN and COMMIT itself. Each connection is used by one thread at a time.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    try:
        connect().close()
    except sqlite3.Error as error:
        raise StateError(f"cannot open {path}: {error}", next_step="check the folder's owner and mode") from error
    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
