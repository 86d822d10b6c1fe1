"""A PostgreSQL database: its address, connections to it, and locks that all servers before it see."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from handsel.errors import StateError, UsageError
from handsel.pki.secret import Secret


@dataclass(frozen=True)
class Database:
    """Where a PostgreSQL database is. The password is not in `url`, which people see; PGPASSFILE works too."""

    url: str
    password: Secret | None = field(default=None, repr=False)

    @classmethod
    def read(cls, url: str, password_file: Path | None = None) -> Database:
        """A database by its address (libpq, section 32.1.1.2) and the file with its password. Raises `UsageError`."""
        if not url.startswith(("postgresql://", "postgres://")):
            raise UsageError(
                "--database is no address of a PostgreSQL database",
                next_step="such as postgresql://handsel@db.example.com/handsel?sslmode=verify-full",
            )
        try:
            sa.make_url(url)
            password = Secret(password_file.read_text().strip().encode()) if password_file else None
        except (sa.exc.ArgumentError, ValueError) as error:
            raise UsageError(f"--database is no address of a database: {type(error).__name__}") from error
        except OSError as error:
            raise UsageError(f"{password_file} cannot be read: {error.strerror}") from error
        return cls(url, password)

    @property
    def shows_password(self) -> bool:
        """Whether the address has a password in it."""
        url = sa.make_url(self.url)
        return url.password is not None or "password" in url.query

    def __str__(self) -> str:
        return sa.make_url(self.url).set(query={}).render_as_string(hide_password=True)

    def engine(self, **options: Any) -> sa.Engine:
        """Connections in autocommit mode: who wants a transaction says BEGIN."""
        try:
            import psycopg  # noqa: F401, PLC0415  # an extra, and needed here only
        except ImportError as error:
            raise StateError("PostgreSQL needs the extra", next_step="pip install 'handsel[postgres]'") from error
        arguments = {"application_name": "handsel", "connect_timeout": 5}
        if self.password is not None:
            arguments["password"] = self.password.reveal().decode()
        url = sa.make_url(self.url).set(drivername="postgresql+psycopg")
        return sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args=arguments, **options)


@contextlib.contextmanager
def connected(database: Database) -> Iterator[sa.Connection]:
    """One connection, closed at the end. Raises `StateError`."""
    engine = database.engine(poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise unreachable(database, error) from error
    finally:
        engine.dispose()


class AdvisoryLock:
    """A lock that one of all servers of a database holds, on a connection of its own."""

    def __init__(self, database: Database, name: str) -> None:
        self._engine = database.engine(poolclass=sa.pool.NullPool)
        self._name = name
        self._connection: sa.Connection | None = None
        self._one_thread = threading.Lock()

    def hold(self) -> bool:
        """Take the lock, or see whether it is still held."""
        with self._one_thread:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                # Taken again by who has it, it counts up; it is given back when the connection ends, all at once.
                return bool(self._connection.execute(TRY_LOCK, {"name": self._name}).scalar_one())
            except sa.exc.SQLAlchemyError:
                self._close()
                return False

    def release(self) -> None:
        """Give it to whoever asks next."""
        with self._one_thread:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")


def unreachable(database: Database, error: Exception) -> StateError:
    """What a failure of a database is to people."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return StateError(f"the database {database} failed: {reason}", next_step="is it running, and may we log in?")
