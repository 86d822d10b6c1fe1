"""`handsel config migrate`, for both databases; and a server that is started on what is too old or too new."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from handsel.store.adapters.database import Database
from tests.e2e.authority_process import Authority
from tests.e2e.mesh_process import run, short_folder
from tests.postgres import empty_database

pytestmark = pytest.mark.e2e
OLD = (Path(__file__).parents[1] / "store" / "schema_0001.sql").read_text()


def make_old(state: Path) -> Path:
    """A state folder as the first release left it, with a ticket in it."""
    file = state / "server" / "handsel.db"
    file.parent.mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    file.parent.chmod(0o700)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD)
        connection.execute("INSERT INTO tickets VALUES ('t1', x'00', 'web', 1, 0)")
        connection.commit()
    return file


def test_a_file_is_migrated_by_the_command_once():
    with short_folder() as folder:
        file = make_old(folder / "s")
        before = file.read_bytes()
        migrate = ("config", "migrate", "--state", str(folder / "s"))
        dry = run(*migrate, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "would be migrated: 0001 -> 0002" in dry.stdout
        assert file.read_bytes() == before
        done = run(*migrate)
        assert done.returncode == 0, done.stderr
        assert f"as it was before: {file}.0001" in done.stdout
        again = run(*migrate)
        assert again.returncode == 0
        assert "has the schema 0002 already" in again.stdout
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT ticket_id FROM tickets").fetchall() == [("t1",)]


def test_a_file_is_migrated_by_the_server_that_starts_and_not_while_it_runs():
    with short_folder() as folder:
        make_old(folder / "s")
        authority = Authority(folder, "")
        try:
            assert (folder / "s" / "server" / "handsel.db.0001").exists()
            busy = authority.run("config", "migrate")
            assert busy.returncode == 1
            assert "HS-S002" in busy.stderr
        finally:
            authority.server.stop()


def test_a_file_of_a_newer_version_is_refused_in_one_line():
    with short_folder() as folder:
        file = make_old(folder / "s")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version = 9")
        for arguments in (
            ("server", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0"),
            ("config", "migrate"),
        ):
            refused = run(*arguments, "--state", str(folder / "s"))
            assert refused.returncode == 1
            assert "was written by a newer handsel" in refused.stderr
            assert len(refused.stderr.splitlines()) == 2  # what is wrong, and what to do


def test_a_database_is_migrated_by_the_command_and_the_server_waits_for_that(postgres):
    database = empty_database(postgres)
    with short_folder() as folder:
        server = (
            "server", "--state", str(folder / "s"), "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0",
            "--database", database.url,
        )  # fmt: skip
        early = run(*server)
        assert early.returncode == 1
        assert "has no tables of handsel" in early.stderr
        migrate = ("config", "migrate", "--database", database.url)
        assert "would be migrated: empty -> 0001 -> 0002" in run(*migrate, "--dry-run").stdout
        assert tables(database) == []
        assert run(*migrate).returncode == 0
        assert "certificates" in tables(database)
        assert "has the schema 0002 already" in run(*migrate).stdout
        authority = Authority(folder, "", "--database", database.url)
        authority.server.stop()


def tables(database: Database) -> list[str]:
    with database.engine(poolclass=sa.pool.NullPool).connect() as connection:
        return sa.inspect(connection).get_table_names()
