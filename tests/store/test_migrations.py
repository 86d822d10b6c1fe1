"""An older database becomes one of this version, with all that is in it; a newer one is left alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from handsel.authority.adapters.tables import Directory
from handsel.errors import StateError
from handsel.pki.certificate import Certificate
from handsel.store import journal
from handsel.store.adapters import postgres as postgres_store
from handsel.store.adapters import schema, sqlite
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import entry, first_broken
from handsel.store.migrations import HEAD, r0001
from handsel.wiring.storage import APPLIERS
from tests.postgres import empty_database
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

OLD = (Path(__file__).parent / "schema_0001.sql").read_text()
GENERATOR = Path(__file__).parents[2] / "tools" / "migration.py"
WEB, AGENT = TRUST_DOMAIN.workload("default", "web"), TRUST_DOMAIN.agent("a1")


@pytest.fixture
def issued(authority: TestAuthority) -> dict[str, Certificate]:
    return {
        str(WEB): authority.pair(WEB).chain[0],
        str(AGENT): authority.pair(AGENT).chain[0],
        str(TRUST_DOMAIN.server): authority.pair(TRUST_DOMAIN.server, dns_names=("localhost",)).chain[0],
    }


def rows(issued: dict[str, Certificate]) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """What a server of the first release had written."""
    begin, end = NOW.timestamp(), (NOW + timedelta(hours=1)).timestamp()
    yield (
        "certificates",
        [
            *((each.serial, name, begin, end, "agent/a1", "issued", each.der) for name, each in issued.items()),
            ("77", str(WEB), begin, end, "agent/a1", "intended", None),
        ],
    )
    yield "hosts", [("a1", "host.example", "web", begin)]
    yield "tickets", [("t1", b"k", "web", end, True)]
    yield "publications", [("a1", "bundle", "", 7, b"body")]
    previous, lines = journal.GENESIS, []
    for number in (1, 2, 3):
        canonical = entry("word", NOW, number=f"{number}").canonical()
        previous = journal.link(previous, canonical)
        lines.append((number, canonical, previous))
    yield "journal", lines


@pytest.fixture
def old_file(tmp_path, issued) -> Path:
    path = tmp_path / "handsel.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD)
        for table, content in rows(issued):
            connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(content[0]))})", content)
        connection.commit()
    return path


def not_ours(differences: list[object]) -> list[object]:
    """Differences, without the tables that tests declare for themselves."""
    return [each for each in differences if "test_" not in str(each)]


async def check_content(store, issued: dict[str, Certificate]) -> None:
    directory = Directory(store)
    for name, certificate in issued.items():
        record = await directory.record(certificate.serial)
        assert record is not None
        assert record.certificate == certificate, name
        assert (record.issuer, record.profile) == (
            "issuing",
            {WEB: "workload", AGENT: "agent"}.get(certificate.spiffe_id, "server"),
        )
    found = await store.read(sa.text("SELECT serial, key_pin, fingerprint FROM certificates WHERE state = 'issued'"))
    assert {tuple(row) for row in found} == {(each.serial, each.pin, each.fingerprint) for each in issued.values()}
    found = await store.read(sa.text("SELECT name FROM certificate_names WHERE name = 'localhost'"))
    assert len(found) == 1
    assert await directory.unfinished("main") == ["77"]
    assert await directory.issued_count() == len(issued)
    assert (await directory.hosts())[0].agent_id == "a1"
    lines = await store.journal_lines("main")
    assert len(lines) == 3
    assert first_broken(lines) is None


async def test_a_file_of_the_first_release_is_migrated_with_its_rows_and_a_copy_stays(old_file, issued):
    store = SqliteStore(old_file, APPLIERS)
    await check_content(store, issued)
    await store.commit((entry("word", NOW, number="4"),))  # the chain goes on
    assert first_broken(await store.journal_lines()) is None
    assert len(await store.journal_lines()) == 4
    assert not_ours(schema.differences(store._writer)) == []
    store.close()
    kept = old_file.with_name("handsel.db.0001")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM certificates").fetchone() == (4,)
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_migration_that_fails_leaves_the_file_as_it_was(old_file):
    with closing(sqlite3.connect(old_file)) as connection:
        connection.execute("UPDATE certificates SET der = x'00' WHERE state = 'issued'")
        connection.commit()
    with pytest.raises(ValueError):
        SqliteStore(old_file, APPLIERS)
    with closing(sqlite3.connect(old_file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (3,)


def test_a_new_file_is_like_a_migrated_one(tmp_path):
    SqliteStore(tmp_path / "handsel.db", APPLIERS).close()
    assert sqlite.found_revision(tmp_path / "handsel.db") == HEAD
    with sqlite._engine(tmp_path / "handsel.db", read_only=True).connect() as connection:
        assert schema.differences(connection) == []


def test_a_file_from_between_two_releases_gets_the_tables_that_it_lacks(tmp_path):
    path = tmp_path / "handsel.db"
    SqliteStore(path, APPLIERS).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE applied")
        connection.commit()
    SqliteStore(path, APPLIERS).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM applied").fetchone() == (0,)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "handsel.db"
    SqliteStore(path, APPLIERS).close()
    SqliteStore(path, APPLIERS).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE alembic_version SET version_num = '0099'")
        other.commit()
    for read_only in (False, True):
        with pytest.raises(StateError, match="newer handsel"):
            SqliteStore(path, APPLIERS, read_only=read_only)


def test_tables_of_somebody_else_are_left_alone(tmp_path):
    path = tmp_path / "handsel.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
        other.commit()
    with pytest.raises(StateError, match="not handsel's: theirs"):
        SqliteStore(path, APPLIERS)


def test_a_standby_does_not_migrate(old_file):
    before = old_file.read_bytes()
    with pytest.raises(StateError, match="older schema"):
        SqliteStore(old_file, APPLIERS, read_only=True)
    assert old_file.read_bytes() == before


async def test_an_old_postgresql_database_is_migrated_with_its_rows_when_told_to(postgres, issued):
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    database = empty_database(postgres)
    with database.engine(poolclass=sa.pool.NullPool).begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            r0001.upgrade()
        schema._versions.create(connection)
        connection.execute(sa.insert(schema._versions), {"version_num": "0001"})
        for table, content in rows(issued):
            names = [f":c{number}" for number in range(len(content[0]))]
            for row in content:
                values = {f"c{number}": value for number, value in enumerate(row)}
                connection.execute(sa.text(f"INSERT INTO {table} VALUES ({','.join(names)})"), values)
    with pytest.raises(StateError, match="0002 is needed"):
        postgres_store.PostgresStore(database, APPLIERS, log="one")
    store = postgres_store.PostgresStore(database, APPLIERS, log="one", migrate=True)
    await check_content(store, issued)
    assert not_ours(schema.differences(store._writer)) == []
    store.close()


def test_an_empty_postgresql_database_gets_its_tables_only_when_told_to(postgres):
    database = empty_database(postgres)
    with pytest.raises(StateError, match="no tables of handsel"):
        postgres_store.PostgresStore(database, APPLIERS, log="one")
    postgres_store.PostgresStore(database, APPLIERS, log="one", migrate=True).close()
    with database.engine(poolclass=sa.pool.NullPool).connect() as connection:
        assert not_ours(schema.differences(connection)) == []


def test_the_newest_migration_is_what_the_declared_tables_need():
    assert subprocess.run([sys.executable, GENERATOR, "--check"], check=False).returncode == 0, "run `make migration`"
