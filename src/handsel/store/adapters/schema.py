"""The schema of a database: which revision it has, and how it comes to the newest one.

The tables as they are now are declared in code, and a new database gets them as they are. An older one goes through
`store.migrations`, a revision at a time; alembic is imported only then. What must come out is the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from handsel.errors import StateError
from handsel.store.adapters.sql import metadata
from handsel.store.migrations import HEAD, REVISIONS

_versions = sa.Table(
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)  # fmt: skip
_FIRST_USER_VERSION = 1
"""What the first revision wrote into SQLite's `user_version`, before it had a table for it."""
USER_VERSION = 2
"""What is written there now: it tells the first version of handsel to leave the file alone."""


def revision(connection: sa.Connection, where: str) -> str | None:
    """The revision of a database, None for an empty one. Raises `StateError` for one that is newer than this code."""
    tables = sa.inspect(connection).get_table_names()
    if _versions.name in tables:
        found: str | None = connection.execute(sa.select(_versions.c.version_num)).scalar_one_or_none()
        if found in REVISIONS:
            return found
        raise StateError(
            f"{where} was written by a newer handsel (schema {found}, this one knows {HEAD})",
            next_step="use that version, or another --state folder or --database",
        )
    if not tables:
        return None
    number = _user_version(connection)
    if number == _FIRST_USER_VERSION:
        return REVISIONS[0]
    if number > _FIRST_USER_VERSION:
        raise StateError(
            f"{where} was written by a newer handsel (schema {number}, this one knows {HEAD})",
            next_step="use that version, or another --state folder",
        )
    raise StateError(
        f"{where} holds tables that are not handsel's: {', '.join(tables[:3])}", next_step="use a database of its own"
    )


def make(connection: sa.Connection) -> None:
    """Every table in an empty database. Call it in a transaction."""
    metadata.create_all(connection)
    _versions.create(connection)
    connection.execute(sa.insert(_versions), {"version_num": HEAD})
    _set_user_version(connection)


def complete(connection: sa.Connection) -> None:
    """The tables that a database of the newest revision lacks: between two releases that revision still grows."""
    there = set(sa.inspect(connection).get_table_names())
    missing = [table for name, table in metadata.tables.items() if name not in there]
    if missing:
        metadata.create_all(connection, tables=missing)


def pending(found: str | None) -> Sequence[str]:
    """The revisions that are missing from a database of this revision."""
    return REVISIONS if found is None else REVISIONS[REVISIONS.index(found) + 1 :]


def migrate(connection: sa.Connection, found: str | None) -> None:
    """Bring a database of an older revision (None: an empty one) to the newest. Call it in a transaction."""
    from alembic.migration import MigrationContext  # noqa: PLC0415  # slow to import, and seldom needed
    from alembic.operations import Operations  # noqa: PLC0415

    context = MigrationContext.configure(connection)
    with Operations.context(context):
        for each in pending(found):
            step: Any = importlib.import_module(f"handsel.store.migrations.r{each}")
            step.upgrade()
    _versions.create(connection, checkfirst=True)
    connection.execute(sa.delete(_versions))
    connection.execute(sa.insert(_versions), {"version_num": HEAD})
    _set_user_version(connection)


def differences(connection: sa.Connection) -> list[Any]:
    """How a database differs from the tables declared in code, as alembic says it. For tests and `make migration`."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def _user_version(connection: sa.Connection) -> int:
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _set_user_version(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {USER_VERSION}")
