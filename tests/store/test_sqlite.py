"""The store over a real file: durable, all or nothing, many outcomes in one commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from handsel.errors import Conflict, StateError
from handsel.store.adapters.sqlite import SqliteStore, apply_once, metadata
from handsel.store.journal import entry, first_broken
from tests.support import NOW, as_nobody

_words = sa.Table("test_words", metadata, sa.Column("word", sa.Text, primary_key=True))


@dataclass(frozen=True)
class Word:
    word: str


@dataclass(frozen=True)
class Take:
    """Take a word away, which only one can."""

    word: str


@dataclass(frozen=True)
class Wait:
    """Hold the writer up until told."""

    until: threading.Event


@dataclass(frozen=True)
class Break:
    """An applier with a mistake."""


def _take(connection: sa.Connection, write: Take) -> None:
    taken = connection.execute(sa.delete(_words).where(_words.c.word == write.word)).rowcount
    apply_once(taken, lambda: Conflict(f"{write.word} is gone"))


def _break(connection: sa.Connection, write: Break) -> None:
    raise AttributeError("a mistake of ours")


APPLIERS = {
    Word: lambda connection, write: connection.execute(sa.insert(_words), {"word": write.word}),
    Take: _take,
    Wait: lambda _connection, write: write.until.wait(10),
    Break: _break,
}


@pytest.fixture
def open_store():
    """Open stores, closed at the end."""
    opened: list[SqliteStore] = []

    def open_one(path: Path) -> SqliteStore:
        opened.append(SqliteStore(path, APPLIERS))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def words(open_store: Callable[[Path], SqliteStore], tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "handsel.db")


@contextlib.contextmanager
def held_up(store: SqliteStore) -> Iterator[None]:
    """The writer is in a commit until the end of this: what is handed in meanwhile piles up."""
    gate = threading.Event()
    under_way = store.submit((Wait(gate),))
    while not under_way.running():
        time.sleep(0.001)
    try:
        yield
    finally:
        gate.set()


def _all(store: SqliteStore) -> set[str]:
    return set(store.read(sa.select(_words.c.word)).scalars())


async def test_what_was_committed_can_be_read(words):
    await words.commit((Word("a"), Word("b")))
    assert _all(words) == {"a", "b"}


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
    assert _all(store) == {"a", "b"}
    lines = list(store.journal_lines())
    store.close()
    assert [number for number, _, _ in lines] == [1, 2]
    assert first_broken(lines) is None


async def test_an_outcome_is_all_or_nothing(words):
    await words.commit((Word("a"),))
    with pytest.raises(Conflict, match="c is gone"):
        await words.commit((Word("b"), entry("word", NOW), Take("a"), Take("c")))
    assert _all(words) == {"a"}
    assert list(words.journal_lines()) == []


FAILING = [
    pytest.param((Word("x"), entry("x", NOW), Take("nobody")), Conflict, id="a conflict"),
    pytest.param((Word("x"), Word("x")), sa.exc.IntegrityError, id="the same key twice"),
    pytest.param((Word("x"), Word("\ud800")), UnicodeEncodeError, id="text that cannot be stored"),
    pytest.param((Word("x"), entry("x", NOW), Break()), AttributeError, id="a mistake of ours"),
    pytest.param((Word("x"), object()), KeyError, id="a write that nobody knows"),
]


@pytest.mark.parametrize(("failing", "error"), FAILING)
async def test_an_outcome_that_fails_does_not_fail_those_that_share_its_commit(words, failing, error):
    with held_up(words):
        group = [words.submit(each) for each in ((Word("a"), entry("a", NOW)), failing, (Word("b"), entry("b", NOW)))]
    results = [future.exception(10) for future in group]
    assert results[0] is None
    assert isinstance(results[1], error)
    assert results[2] is None
    assert _all(words) == {"a", "b"}
    assert first_broken(words.journal_lines()) is None


async def test_outcomes_that_pile_up_share_one_commit(words):
    statements: list[str] = []
    sa.event.listen(words._engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    with held_up(words):
        pile = [words.submit((Word(f"{number}"),)) for number in range(100)]
    for future in pile:
        future.result(10)
    assert len(_all(words)) == 100
    assert statements.count("COMMIT") == 2  # the one that held the writer up, and all others


async def test_of_many_who_race_for_one_thing_exactly_one_gets_it(words):
    await words.commit((Word("ticket"),))
    results = await asyncio.gather(*(words.commit((Take("ticket"),)) for _ in range(20)), return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(each, Conflict) for each in results) == 19


async def test_a_caller_that_gave_up_stops_nobody_else(words):
    with held_up(words):
        given_up = asyncio.create_task(words.commit((Word("given up"),)))
        following = asyncio.create_task(words.commit((Word("b"),)))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    await asyncio.wait_for(following, 10)
    assert _all(words) == {"b"}


def test_closing_finishes_what_was_handed_in(tmp_path, open_store):
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    futures = [store.submit((Word(f"{number}"),)) for number in range(200)]
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert len(_all(open_store(tmp_path / "handsel.db"))) == 200


async def test_the_journal_of_a_file_that_somebody_changed_is_broken(words, tmp_path):
    for number in range(4):
        await words.commit((entry("word", NOW, number=f"{number}"),))
    assert first_broken(words.journal_lines()) is None
    with sqlite3.connect(tmp_path / "handsel.db") as other:
        other.execute("UPDATE journal SET entry = replace(entry, '1', '9') WHERE number = 2")
    other.close()
    assert first_broken(words.journal_lines()) == 2


async def test_a_disk_that_is_full_fails_the_commit_and_not_the_store(words):
    words._writer.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StateError, match="could not be written"):
        await words.commit((entry("word", NOW), Word("a" * 100_000)))
    words._writer.exec_driver_sql("PRAGMA max_page_count = 100000")
    await words.commit((Word("b"), entry("word", NOW)))
    assert _all(words) == {"b"}
    assert first_broken(words.journal_lines()) is None


def test_a_file_of_a_newer_version_is_left_alone(tmp_path, open_store):
    path = tmp_path / "handsel.db"
    SqliteStore(path, APPLIERS).close()
    SqliteStore(path, APPLIERS).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StateError, match="newer handsel"):
        open_store(path)


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
