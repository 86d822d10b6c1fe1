"""Statements that are compiled once and then run on SQLite's driver itself.

A read by key takes SQLite some microseconds; SQLAlchemy around it takes five times that, and as much around a write.
Its statements are kept here, and the rest is left out: rows are named tuples of what the driver gives.
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
class _Statement:
    """SQL with parameters by name, the values that are part of the statement, and what a row is, for a query."""

    text: str
    constants: Mapping[str, Any]
    row: type[Any] | None

    def values(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**self.constants, **parameters} if self.constants else parameters


class Prepared:
    """The statements of one connection, kept by identity: those that live as long as the program gain by it.

    A statement comes with parameters of the same names each time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[sa.Executable, _Statement | None] = {}

    def rows(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Every row that a query finds, or None for one that cannot be prepared (a list among its parameters).

        This and the others raise errors as SQLAlchemy does.
        """
        query = self._find(statement, parameters)
        if query is None or query.row is None:
            return None
        return [query.row._make(found) for found in self._execute(query.text, query.values(parameters))]

    def run(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> int | None:
        """How many rows a change is about, or None when it cannot be prepared."""
        change = self._find(statement, parameters)
        if change is None or change.row is not None:
            return None
        return self._execute(change.text, change.values(parameters)).rowcount

    def say(self, words: str) -> None:
        """Begin or end a transaction."""
        self._execute(words, {})

    def _execute(self, text: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(text, values)
        except sqlite3.Error as error:
            raise sa.exc.DBAPIError.instance(text, dict(values), error, sqlite3.Error) from error

    def _find(self, statement: sa.Executable, parameters: Mapping[str, Any]) -> _Statement | None:
        if statement not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[statement] = _compile(statement, parameters)
        return self._known[statement]


def _compile(statement: sa.Executable, parameters: Mapping[str, Any]) -> _Statement | None:
    if not isinstance(statement, sa.Select | sa.Insert | sa.Update | sa.Delete):
        return None
    columns = None if isinstance(statement, sa.Select | sa.Delete) else list(parameters)
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"), column_keys=columns)
    # A list of values is written out at each execution, so there is no one text for it.
    unfinished = compiled.post_compile_params or compiled.literal_execute_params
    if unfinished or not parameters.keys() <= compiled.params.keys():
        return None
    constants = {name: value for name, value in compiled.params.items() if name not in parameters}
    if not isinstance(statement, sa.Select):
        return _Statement(str(compiled), constants, None)
    # An expression has no name of its own: it is asked for by its place.
    names = [str(column.key) for column in statement.selected_columns]
    return _Statement(str(compiled), constants, namedtuple("Row", names, rename=True))  # noqa: PYI024  # the names are the statement's
