"""Queries that are compiled once and then run on SQLite's driver itself.

A read by key takes SQLite some microseconds; SQLAlchemy around it takes five times that. Its statements are kept here,
and the rest is left out: rows are named tuples of what the driver gives.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

_MOST = 500


@dataclass(frozen=True)
class _Query:
    """SQL with parameters by name, the values that are part of the statement, and what a row is."""

    text: str
    constants: Mapping[str, Any]
    row: type[Any]


class Prepared:
    """The queries of one connection, kept by identity: those that live as long as the program gain by it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[sa.Executable, _Query | None] = {}

    def rows(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Every row that a query finds, or None for one that cannot be prepared (a list among its parameters)."""
        if statement not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[statement] = _compile(statement, parameters)
        query = self._known[statement]
        if query is None:
            return None
        values = {**query.constants, **parameters} if query.constants else parameters
        return [query.row._make(found) for found in self._connection.execute(query.text, values)]


def _compile(statement: sa.Executable, parameters: Mapping[str, Any]) -> _Query | None:
    if not isinstance(statement, sa.Select):
        return None
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    # A list of values is written out at each execution, so there is no one text for it.
    unfinished = compiled.post_compile_params or compiled.literal_execute_params
    if unfinished or not parameters.keys() <= compiled.params.keys():
        return None
    constants = {name: value for name, value in compiled.params.items() if name not in parameters}
    # An expression has no name of its own: it is asked for by its place.
    names = [str(column.key) for column in statement.selected_columns]
    return _Query(str(compiled), constants, namedtuple("Row", names, rename=True))  # noqa: PYI024  # the names are the statement's
