"""State that ends with the process: for tests, and for looking. The same tables, the same promises but one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from handsel.store.adapters import schema
from handsel.store.adapters.sql import SqlStore, Topics
from handsel.store.outcome import Appliers


class MemoryStore(SqlStore):
    """A `Store` that nothing survives."""

    def __init__(self, appliers: Appliers, *, topics: Topics | None = None) -> None:
        self._busy = threading.Lock()  # one connection, so that both threads see the same tables
        super().__init__(_engine(), appliers, topics=topics, prepare=schema.make)

    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        with self._busy:
            return self._writer.execute(statement, parameters).fetchall()

    def _try_group(self, group: list[Any]) -> tuple[dict[int, BaseException], set[str]]:
        with self._busy:
            try:
                return super()._try_group(group)
            except BaseException:
                self._roll_back()
                raise


def _engine() -> sa.Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.StaticPool, isolation_level="AUTOCOMMIT")
