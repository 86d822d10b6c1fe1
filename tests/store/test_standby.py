"""A standby of PostgreSQL, which follows another one and can only be read; and a dump, which is restored."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from handsel.errors import ReadOnly
from handsel.store.adapters.database import Database
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.journal import entry, first_broken
from tests.postgres import empty_database, new_database, running
from tests.store.contract import APPLIERS, TOPICS, Word, all_words
from tests.support import NOW, until


def socket_folder(database: Database) -> str:
    return str(sa.make_url(database.url).query["host"])


@pytest.fixture
def standby() -> Iterator[tuple[Database, Database]]:
    """A database, and the same at a standby of it."""
    with (
        running() as server,
        tempfile.TemporaryDirectory(prefix="hssb", dir="/tmp", ignore_cleanup_errors=True) as name,
    ):
        folder = Path(name)
        folder.chmod(0o777)
        database = new_database(server)
        copy = folder / "data"
        _pg(server, "pg_basebackup", "-h", socket_folder(database), "-U", "postgres", "-D", copy, "-R", "-c", "fast")
        _pg(server, "pg_ctl", "-D", copy, "-o", f"-h '' -k {folder}", "-l", folder / "log", "-w", "start")
        try:
            yield database, Database(database.url.partition("?")[0] + f"?host={quote(name, safe='')}")
        finally:
            _pg(server, "pg_ctl", "-D", copy, "-m", "immediate", "-w", "stop")


def _pg(server: Any, program: str, *arguments: object) -> None:
    """One of PostgreSQL's programs, as the user that runs the server."""
    command = [str(server.bin_path / program), *(str(each) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, user=server.system_user, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_standby_hears_of_changes_reads_them_and_writes_nothing(standby):
    """Storage and HA: a server may start before a standby of the database."""
    first, second = standby
    writing = PostgresStore(first, APPLIERS, log="one", topics=TOPICS)
    reading = PostgresStore(second, APPLIERS, log="two", topics=TOPICS, read_only=True)
    told: list[str] = []
    reading.changes.on("words", lambda: told.append("again"), elsewhere=True)
    await writing.commit((Word("a"), entry("word", NOW)))
    found: set[str] = set()
    for _ in range(100):
        told.clear()
        await until(lambda: bool(told))
        found = await all_words(reading)
        if found:
            break
    assert found == {"a"}
    assert first_broken(await reading.journal_lines("one")) is None
    with pytest.raises(ReadOnly):
        await reading.commit((Word("b"),))
    reading.close()
    writing.close()


async def test_a_dump_becomes_a_database_again(postgres):
    """What is recommended for a backup of PostgreSQL: pg_dump --format=custom, and pg_restore."""
    database = new_database(postgres)
    store = PostgresStore(database, APPLIERS, log="one")
    await store.commit((Word("a"), entry("word", NOW)))
    with tempfile.TemporaryDirectory(prefix="hsdump", dir="/tmp") as name:
        Path(name).chmod(0o777)
        source = ("-h", socket_folder(database), "-U", "postgres")
        _pg(postgres, "pg_dump", *source, "--format=custom", "-f", f"{name}/dump", sa.make_url(database.url).database)
        await store.commit((Word("later"),))
        restored = empty_database(postgres)
        _pg(postgres, "pg_restore", *source, "-d", sa.make_url(restored.url).database, f"{name}/dump")
    again = PostgresStore(restored, APPLIERS, log="one")
    assert await all_words(again) == {"a"}
    await again.commit((entry("word", NOW),))
    assert [number for number, _, _ in await again.journal_lines()] == [1, 2]
    assert first_broken(await again.journal_lines()) is None
    again.close()
    store.close()
