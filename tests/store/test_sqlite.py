"""What only a store in a file promises. The rest is in `contract`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from handsel.errors import ReadOnly, StateError
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import entry, first_broken
from tests.store.contract import APPLIERS, Word, all_words
from tests.support import NOW, as_nobody


@pytest.fixture
def open_store():
    """Open stores, closed at the end."""
    opened: list[SqliteStore] = []

    def open_one(path: Path, **options: bool) -> SqliteStore:
        opened.append(SqliteStore(path, APPLIERS, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def words(open_store: Callable[[Path], SqliteStore], tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "handsel.db")


async def test_what_was_committed_is_in_the_file_when_the_call_returns(words, tmp_path):
    await words.commit((Word("a"),))
    # Another connection, as another process would have it after a crash of ours.
    with sqlite3.connect(tmp_path / "handsel.db") as other:
        assert other.execute("SELECT word FROM test_words").fetchall() == [("a",)]
    other.close()


async def test_a_commit_survives_a_loss_of_power(words):
    """SQLite syncs the log at each commit only with this setting, 2 (its manual, "PRAGMA synchronous")."""
    assert words._writer.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


async def test_everything_is_there_after_the_store_was_opened_again(tmp_path):
    for word in ("a", "b"):
        store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
        await store.commit((Word(word), entry("word", NOW, word=word)))
        store.close()
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    assert await all_words(store) == {"a", "b"}
    lines = await store.journal_lines()
    store.close()
    assert [number for number, _, _ in lines] == [1, 2]
    assert first_broken(lines) is None


async def test_the_journal_of_a_file_that_somebody_changed_is_broken(words, tmp_path):
    for number in range(4):
        await words.commit((entry("word", NOW, number=f"{number}"),))
    assert first_broken(await words.journal_lines()) is None
    with sqlite3.connect(tmp_path / "handsel.db") as other:
        other.execute("UPDATE journal SET entry = replace(entry, '1', '9') WHERE number = 2")
    other.close()
    assert first_broken(await words.journal_lines()) == 2


async def test_a_disk_that_is_full_fails_the_commit_and_not_the_store(words):
    words._writer.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StateError, match="could not be written"):
        await words.commit((entry("word", NOW), Word("a" * 100_000)))
    words._writer.exec_driver_sql("PRAGMA max_page_count = 100000")
    await words.commit((Word("b"), entry("word", NOW)))
    assert await all_words(words) == {"b"}
    assert first_broken(await words.journal_lines()) is None


async def test_a_standby_reads_what_is_there_and_writes_nothing(tmp_path, open_store):
    """Storage and HA: starts read-only, and makes no tables."""
    path = tmp_path / "handsel.db"
    await open_store(path).commit((Word("a"),))
    before = path.read_bytes()
    standby = open_store(path, read_only=True)
    assert await all_words(standby) == {"a"}
    with pytest.raises(ReadOnly):
        await standby.commit((Word("b"),))
    await standby.commit(())
    assert await all_words(standby) == {"a"}
    assert path.read_bytes() == before
    with pytest.raises(StateError, match="cannot open"):
        open_store(tmp_path / "missing.db", read_only=True)
    assert not (tmp_path / "missing.db").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path, open_store):
    (tmp_path / "handsel.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StateError, match="cannot open"):
        open_store(tmp_path / "handsel.db")


def test_a_folder_that_cannot_be_written_is_refused_with_and_without_a_file():
    with as_nobody() as folder:
        SqliteStore(folder / "handsel.db", APPLIERS).close()
        folder.chmod(0o500)
        for name in ("handsel.db", "another.db"):
            with pytest.raises(StateError, match="cannot open"):
                SqliteStore(folder / name, APPLIERS)
