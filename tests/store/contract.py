"""What every store promises. `test_contract_*` run it over each of them: durable, all or nothing, many in one commit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from handsel.errors import Conflict
from handsel.store.adapters.sql import SqlStore, apply_once, metadata
from handsel.store.journal import entry, first_broken
from tests.support import NOW

words_table = sa.Table("test_words", metadata, sa.Column("word", sa.Text, primary_key=True))


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
    taken = connection.execute(sa.delete(words_table).where(words_table.c.word == write.word)).rowcount
    apply_once(taken, lambda: Conflict(f"{write.word} is gone"))


def _break(connection: sa.Connection, write: Break) -> None:
    raise AttributeError("a mistake of ours")


APPLIERS = {
    Word: lambda connection, write: connection.execute(sa.insert(words_table), {"word": write.word}),
    Take: _take,
    Wait: lambda _connection, write: write.until.wait(10),
    Break: _break,
}
TOPICS = {Word: "words", Take: "taken"}


@contextlib.contextmanager
def held_up(store: SqlStore) -> Iterator[None]:
    """The writer is in a commit until the end of this: what is handed in meanwhile piles up."""
    gate = threading.Event()
    under_way = store.submit((Wait(gate),))
    while not under_way.running():
        time.sleep(0.001)
    try:
        yield
    finally:
        gate.set()
        under_way.result(10)


async def all_words(store: SqlStore) -> set[str]:
    return {row.word for row in await store.read(sa.select(words_table.c.word))}


FAILING = [
    pytest.param((Word("x"), entry("x", NOW), Take("nobody")), Conflict, id="a conflict"),
    pytest.param((Word("x"), Word("x")), sa.exc.IntegrityError, id="the same key twice"),
    pytest.param((Word("x"), Word("\ud800")), UnicodeEncodeError, id="text that cannot be stored"),
    pytest.param((Word("x"), entry("x", NOW), Break()), AttributeError, id="a mistake of ours"),
    pytest.param((Word("x"), object()), KeyError, id="a write that nobody knows"),
]


class StoreContract:
    """Subclasses have a fixture `words`: an open, empty store with `APPLIERS` and `TOPICS`."""

    async def test_what_was_committed_can_be_read(self, words):
        await words.commit((Word("a"), Word("b")))
        assert await all_words(words) == {"a", "b"}

    async def test_an_outcome_is_all_or_nothing(self, words):
        await words.commit((Word("a"),))
        with pytest.raises(Conflict, match="c is gone"):
            await words.commit((Word("b"), entry("word", NOW), Take("a"), Take("c")))
        assert await all_words(words) == {"a"}
        assert await words.journal_lines() == []

    @pytest.mark.parametrize(("failing", "error"), FAILING)
    async def test_an_outcome_that_fails_does_not_fail_those_that_share_its_commit(self, words, failing, error):
        with held_up(words):
            wanted = ((Word("a"), entry("a", NOW)), failing, (Word("b"), entry("b", NOW)))
            group = [words.submit(each) for each in wanted]
        results = [future.exception(10) for future in group]
        assert results[0] is None
        assert isinstance(results[1], error)
        assert results[2] is None
        assert await all_words(words) == {"a", "b"}
        lines = await words.journal_lines()
        assert [number for number, _, _ in lines] == [1, 2]
        assert first_broken(lines) is None

    async def test_outcomes_that_pile_up_share_one_commit(self, words, monkeypatch):
        statements: list[str] = []
        say = words._say
        monkeypatch.setattr(words, "_say", lambda text: (statements.append(text), say(text)))
        with held_up(words):
            pile = [words.submit((Word(f"{number}"),)) for number in range(100)]
        for future in pile:
            future.result(10)
        assert len(await all_words(words)) == 100
        assert statements.count("COMMIT") == 2  # the one that held the writer up, and all others

    async def test_of_many_who_race_for_one_thing_exactly_one_gets_it(self, words):
        await words.commit((Word("ticket"),))
        results = await asyncio.gather(*(words.commit((Take("ticket"),)) for _ in range(20)), return_exceptions=True)
        assert results.count(None) == 1
        assert sum(isinstance(each, Conflict) for each in results) == 19

    async def test_a_caller_that_gave_up_stops_nobody_else(self, words):
        with held_up(words):
            given_up = asyncio.create_task(words.commit((Word("given up"),)))
            following = asyncio.create_task(words.commit((Word("b"),)))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        await asyncio.wait_for(following, 10)
        assert await all_words(words) == {"b"}

    async def test_the_journal_is_one_chain_by_log(self, words):
        for number in range(3):
            await words.commit((entry("word", NOW, number=f"{number}"),))
        assert await words.logs() == [words.log]
        assert first_broken(await words.journal_lines()) is None
        assert await words.journal_lines() == await words.journal_lines(words.log)
        assert [number for number, _, _ in await words.journal_lines(after=1)] == [2, 3]
        assert await words.journal_lines("another") == []

    async def test_who_listens_is_told_of_what_was_committed_and_of_nothing_else(self, words):
        told: list[str] = []
        for topic in ("words", "taken"):
            words.changes.on(topic, lambda topic=topic: told.append(topic))
        words.changes.on("words", lambda: told.append("elsewhere"), elsewhere=True)
        await words.commit((entry("word", NOW),))
        with pytest.raises(Conflict):
            await words.commit((Word("a"), Take("nobody")))
        await words.commit((Word("a"),))
        await asyncio.sleep(0)
        assert told == ["words"]

    def test_closing_finishes_what_was_handed_in(self, words):
        futures = [words.submit((Word(f"{number}"),)) for number in range(200)]
        words.close()
        assert all(future.done() and future.exception() is None for future in futures)
