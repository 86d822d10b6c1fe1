"""Queries that are compiled once and then run on SQLite's driver itself.

A read by key takes SQLite some microseconds; SQLAlchemy around it takes five times that. Its statements are kept here,
and the rest is left out: rows are named tuples of what the driver gives.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

_MOST = 500


class Prepared:
    """The queries of one connection, kept by identity: those that live as long as the program gain by it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[sa.Executable, tuple[str, type[Any]] | None] = {}

    def rows(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Every row that a query finds, or None for one that cannot be prepared (a list among its parameters)."""
        if statement not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[statement] = _compile(statement, parameters)
        known = self._known[statement]
        if known is None:
            return None
        text, row = known
        return [row._make(found) for found in self._connection.execute(text, parameters)]


def _compile(statement: sa.Executable, parameters: Mapping[str, Any]) -> tuple[str, type[Any]] | None:
    if not isinstance(statement, sa.Select) or any(isinstance(value, list) for value in parameters.values()):
        return None
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    if set(compiled.params) != set(parameters):  # a value is part of the statement
        return None
    return str(compiled), namedtuple("Row", [column.key for column in statement.selected_columns])  # type: ignore[misc]  # noqa: PYI024  # the names are the statement's
