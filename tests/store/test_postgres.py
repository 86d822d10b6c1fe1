"""What only a store before a shared database promises: other servers, and connections that break."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from handsel.errors import ReadOnly, StateError, StateInUse, UsageError
from handsel.link.resume import Publish
from handsel.mesh.adapters import publications
from handsel.store.adapters import postgres as postgres_store
from handsel.store.adapters.database import AdvisoryLock, Database
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.journal import entry, first_broken
from tests.postgres import new_database, running
from tests.store.contract import APPLIERS, TOPICS, Take, Wait, Word, all_words, held_up, words_table
from tests.support import NOW, until


@dataclass(frozen=True)
class Touch:
    """Change rows one after the other, with a moment in between."""

    words: tuple[str, ...]


def _touch(connection: sa.Connection, write: Touch) -> None:
    for word in write.words:
        connection.execute(sa.update(words_table).where(words_table.c.word == word).values(word=word))
        time.sleep(0.2)


@pytest.fixture
def database(postgres) -> Database:
    return new_database(postgres)


@pytest.fixture
def open_store(database):
    """Open stores of one database, closed at the end."""
    opened: list[PostgresStore] = []
    appliers = {**APPLIERS, **publications.APPLIERS, Touch: _touch}

    def open_one(log: str, **options: bool) -> PostgresStore:
        opened.append(PostgresStore(database, appliers, log=log, topics={**TOPICS, Publish: "publications"}, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def two(open_store: Callable[[str], PostgresStore]) -> tuple[PostgresStore, PostgresStore]:
    return open_store("one"), open_store("two")


def _break_connection(store: PostgresStore) -> None:
    with store._readers.connect() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": store._writer_pid})


async def test_each_server_has_a_chain_of_its_own(two):
    await asyncio.gather(*(store.commit((entry("word", NOW, n=f"{n}"),)) for n in range(30) for store in two))
    assert await two[0].logs() == ["one", "two"]
    for store in two:
        lines = await store.journal_lines()
        assert [number for number, _, _ in lines] == list(range(1, 31))
        assert first_broken(lines) is None
        assert await two[0].journal_lines(store.log) == lines


async def test_of_two_servers_that_race_for_one_thing_exactly_one_gets_it(two):
    for word in range(20):
        await two[0].commit((Word(f"{word}"),))
        results = await asyncio.gather(*(store.commit((Take(f"{word}"),)) for store in two), return_exceptions=True)
        assert results.count(None) == 1


async def test_a_second_server_with_the_same_log_is_refused_and_gets_it_when_the_first_is_gone(open_store, monkeypatch):
    monkeypatch.setattr(postgres_store, "_LOCK_SECONDS", 0.3)
    first = open_store("one")
    with pytest.raises(StateInUse, match="log 'one'"):
        open_store("one")
    assert open_store("two").is_alive("one")
    first.close()
    again = open_store("one")
    await again.commit((entry("word", NOW),))


async def test_another_server_hears_of_a_change_within_a_second(two):
    told: list[str] = []
    two[1].changes.on("words", lambda: told.append("there"), elsewhere=True)
    two[0].changes.on("words", lambda: told.append("here"), elsewhere=True)
    await two[1].commit((Word("own"),))
    await asyncio.sleep(0.3)
    assert told == ["here"]
    begun = time.monotonic()
    await two[0].commit((Word("a"),))
    await until(lambda: told == ["here", "there"])
    assert time.monotonic() - begun < 1


async def test_a_server_that_lost_its_ears_reads_everything_again(two, postgres):
    told: list[str] = []
    two[1].changes.on("words", lambda: told.append("there"), elsewhere=True)
    await two[0].commit((Word("a"),))
    await until(lambda: told == ["there"])
    with two[0]._readers.connect() as connection:
        listening = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN handsel'")
        assert len(connection.execute(listening).fetchall()) >= 2
    await until(lambda: len(told) == 2)  # it cannot know what it missed
    await two[0].commit((Word("b"),))
    await until(lambda: len(told) == 3)


async def test_a_connection_that_breaks_between_commits_is_made_anew(two):
    await two[0].commit((Word("a"), entry("word", NOW)))
    _break_connection(two[0])
    await two[0].commit((Word("b"), entry("word", NOW)))
    assert await all_words(two[1]) == {"a", "b"}
    lines = await two[0].journal_lines()
    assert len(lines) == 2
    assert first_broken(lines) is None


async def test_a_connection_that_breaks_within_a_group_loses_nothing_and_writes_nothing_twice(two):
    gate = threading.Event()
    group = [two[0].submit((Wait(gate), Word("first"), entry("word", NOW)))]
    while not group[0].running():
        await asyncio.sleep(0.001)
    group += [two[0].submit((Word(f"{n}"), entry("word", NOW))) for n in range(20)]
    _break_connection(two[0])
    gate.set()
    for future in group:
        future.result(10)
    assert len(await all_words(two[1])) == 21
    assert len(await two[0].journal_lines()) == 21
    assert first_broken(await two[0].journal_lines()) is None


async def test_a_connection_that_breaks_at_the_commit_is_an_error_and_the_chain_goes_on(two):
    """Nobody can know whether that commit was made, so it is not tried again: it might be made twice."""
    gate = threading.Event()
    doubtful = two[0].submit((entry("word", NOW), Wait(gate)))
    while not doubtful.running():
        await asyncio.sleep(0.001)
    _break_connection(two[0])
    gate.set()
    with pytest.raises(StateError, match="could not be written"):
        doubtful.result(10)
    await two[0].commit((entry("word", NOW),))
    lines = await two[0].journal_lines()
    assert len(lines) in (1, 2)
    assert first_broken(lines) is None


async def test_a_server_that_lost_its_log_to_another_writes_nothing_until_it_has_it_again(two, database, monkeypatch):
    monkeypatch.setattr(postgres_store, "_LOCK_SECONDS", 0.2)
    await two[0].commit((Word("a"), entry("word", NOW)))
    other = AdvisoryLock(database, "handsel log one")
    _break_connection(two[0])
    while not other.hold():
        await asyncio.sleep(0.01)
    for _ in range(3):
        with pytest.raises(StateInUse):
            await two[0].commit((Word("b"), entry("word", NOW)))
    assert await all_words(two[1]) == {"a"}
    other.release()
    await two[0].commit((Word("b"), entry("word", NOW)))
    assert await all_words(two[1]) == {"a", "b"}
    assert first_broken(await two[0].journal_lines()) is None


async def test_two_servers_that_lock_the_same_rows_crosswise_both_get_through(two):
    await two[0].commit((Word("a"), Word("b")))
    await asyncio.gather(
        two[0].commit((Touch(("a", "b")), entry("word", NOW))), two[1].commit((Touch(("b", "a")), entry("word", NOW)))
    )
    for store in two:
        assert len(await store.journal_lines()) == 1
        assert first_broken(await store.journal_lines()) is None


async def test_no_sequence_of_publications_is_filled_in_after_a_higher_one_was_seen(two):
    """A watch asks for what follows the highest sequence it has seen, at whichever server."""
    seen: list[int] = []
    stopping = threading.Event()

    async def watch() -> None:
        while not stopping.is_set():
            frames = await publications.Publications(two[0]).since("host", seen[-1] if seen else 0)
            seen.extend(frame.sequence for frame in frames)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    writes = [
        store.commit((Publish("host", "kind", f"{store.log}{n}", b""), Take("nobody")) if n % 5 == 0 else
                     (Publish("host", "kind", f"{store.log}{n}", b""),))
        for n in range(60) for store in two
    ]  # fmt: skip
    results = await asyncio.gather(*writes, return_exceptions=True)
    made = results.count(None)
    assert made == 96
    async with asyncio.timeout(10):
        while len(seen) < made:
            await asyncio.sleep(0.01)
    stopping.set()
    await watching
    assert seen == sorted(set(seen))
    assert len(seen) == made


async def test_a_read_does_not_stop_the_loop(two):
    slow = asyncio.create_task(two[0].read(sa.text("SELECT pg_sleep(0.5)")))
    turns = 0
    while not slow.done():
        await asyncio.sleep(0.01)
        turns += 1
    await slow
    assert turns > 10


async def test_a_name_that_fits_in_no_index_fails_its_own_outcome_only(two):
    huge = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(60_000))
    with held_up(two[0]):
        bad, good = two[0].submit((Word(huge),)), two[0].submit((Word("good"),))
    assert bad.exception(10) is not None
    assert good.exception(10) is None


def test_one_of_many_has_a_lock_and_the_next_gets_it_when_it_ends(database):
    first, second = AdvisoryLock(database, "leader"), AdvisoryLock(database, "leader")
    assert [first.hold(), second.hold(), first.hold(), second.hold()] == [True, False, True, False]
    first.release()
    assert second.hold()
    assert not first.hold()
    second.release()
    first.release()


async def test_a_standby_reads_and_writes_nothing(two, open_store):
    await two[0].commit((Word("a"),))
    standby = open_store("three", read_only=True)
    assert await all_words(standby) == {"a"}
    with pytest.raises(ReadOnly):
        await standby.commit((Word("b"),))


async def test_a_database_that_is_gone_is_said_in_one_line(open_store, database):
    store = open_store("one")
    await store.commit((Word("a"),))
    store.database = Database("postgresql://nobody@/missing?host=/nowhere")
    with pytest.raises(StateError, match="the database postgresql://nobody@/missing failed: "):
        PostgresStore(store.database, APPLIERS, log="one")


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql:x", "", "postgresql://x:port/y"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UsageError):
        Database.read(url)


def test_a_password_is_shown_nowhere(tmp_path):
    (tmp_path / "password").write_text("s3cret\n")
    for database in (
        Database.read("postgresql://me@db/handsel", tmp_path / "password"),
        Database.read("postgresql://me:s3cret@db/handsel"),
        Database.read("postgresql://me@db/handsel?password=s3cret"),
    ):
        assert "s3cret" not in str(database)
        assert "s3cret" not in repr(database.password)
    assert Database.read("postgresql://me:s3cret@db/handsel").shows_password
    assert not Database.read("postgresql://me@db/handsel").shows_password


async def test_a_writer_that_hangs_does_not_stop_others_from_reading(two):
    gate = threading.Event()
    hanging = two[0].submit((Word("a"), Wait(gate)))
    while not hanging.running():
        await asyncio.sleep(0.001)
    assert await all_words(two[1]) == set()
    await two[1].commit((Word("b"),))
    gate.set()
    hanging.result(10)


async def test_a_database_that_restarts_is_used_again_by_itself():
    with running() as server:
        store = PostgresStore(new_database(server), APPLIERS, log="one", topics=TOPICS)
        await store.commit((Word("a"), entry("word", NOW)))
        told: list[str] = []
        store.changes.on("words", lambda: told.append("again"), elsewhere=True)
        server.stop()
        with pytest.raises(StateError, match=r"the database .* failed"):
            await store.commit((Word("lost"), entry("word", NOW)))
        with pytest.raises(StateError, match=r"the database .* failed"):
            await store.read(sa.select(words_table))
        server.start()
        await store.commit((Word("b"), entry("word", NOW)))
        assert await all_words(store) == {"a", "b"}
        lines = await store.journal_lines()
        assert len(lines) == 2
        assert first_broken(lines) is None
        await until(lambda: bool(told))
        store.close()


async def test_a_password_comes_from_a_file_and_a_wrong_one_is_refused_without_being_shown(tmp_path):
    with running() as server:
        database = new_database(server)
        with database.engine(poolclass=sa.pool.NullPool).connect() as connection:
            connection.execute(sa.text("CREATE ROLE careful SUPERUSER LOGIN PASSWORD 'right one'"))
            rules = Path(connection.execute(sa.text("SHOW hba_file")).scalar_one())
            rules.write_text("local all careful scram-sha-256\n" + rules.read_text())
            connection.execute(sa.text("SELECT pg_reload_conf()"))
        url = database.url.replace("postgres@", "careful@")
        for password in ("right one", "wrong one"):
            (tmp_path / password).write_text(f"{password}\n")
        await asyncio.sleep(0.3)
        PostgresStore(Database.read(url, tmp_path / "right one"), APPLIERS, log="one").close()
        with pytest.raises(StateError, match="password authentication failed") as refused:
            PostgresStore(Database.read(url, tmp_path / "wrong one"), APPLIERS, log="one")
        assert "wrong one" not in str(refused.value)
        with pytest.raises(StateError, match="no password supplied"):
            PostgresStore(Database.read(url), APPLIERS, log="one")
