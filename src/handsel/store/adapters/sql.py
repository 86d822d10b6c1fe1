"""State in SQL tables: one writer thread with natural group commit, whatever the database.

The writer takes whatever piled up while the last commit synced; no timer. An outcome that fails does not fail the
others that share its commit: they are written again, each behind a savepoint. Few fail, and savepoints cost as much as
the writes.

Several servers may share a database. Each has a journal of its own, its log: one hash chain, whose head only this
server moves. An applier finds the server's log in `connection.info["log"]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from handsel.errors import HandselError, ReadOnly, StateError
from handsel.store import journal
from handsel.store.adapters.changes import Changes
from handsel.store.adapters.prepared import Prepared
from handsel.store.journal import JournalEntry
from handsel.store.outcome import Appliers, Writes

_LARGEST_GROUP = 512
_TRIES = 4
ALONE = "main"
"""The log of a server that is alone with its database."""

PREPARED = "prepared"
"""Where a connection keeps its `Prepared`, if it has one; see `run` and `rows`."""

metadata = sa.MetaData()
"""The schema. Each room's `tables` adapter adds its tables to it."""

journal_table = sa.Table(
    "journal",
    metadata,
    sa.Column("log", sa.Text, primary_key=True),  # the server whose chain this is
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

Topics = Mapping[type, str]
"""What a type of write is about, for those who listen at `Changes`."""

_Job = tuple[Writes, "Future[None]"]


class SqlStore(ABC):
    """A `Store` over a database that `engine` opens. Reads go through `read`, writes through `commit`; `close` it."""

    _BEGIN = "BEGIN"
    _WHEN_WRITING_FAILS = "check the disk and the folder's mode"

    def __init__(
        self, engine: sa.Engine, appliers: Appliers, *, prepare: Callable[[sa.Connection], None], log: str = ALONE,
        topics: Topics | None = None, read_only: bool = False,
    ) -> None:  # fmt: skip
        self.log = log
        self.changes = Changes()
        self.read_only = read_only
        self._engine = engine
        self._appliers: Appliers = {**appliers, JournalEntry: self._append}
        self._topics: Topics = topics or {}
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._head = (0, journal.GENESIS)
        self._writer = self._connect(engine)
        try:
            prepare(self._writer)
            if not read_only:
                self._begin_log()
        except BaseException:
            self._close_connections()
            raise
        self._thread = threading.Thread(target=self._write_until_closed, name="store-writer", daemon=True)
        self._thread.start()

    async def commit(self, writes: Writes) -> None:
        """See `Store.commit`."""
        await asyncio.wrap_future(self.submit(writes))

    def submit(self, writes: Writes) -> Future[None]:
        """The same for callers without an event loop: a future that is done when the writes are durable."""
        done: Future[None] = Future()
        if not writes:
            done.set_result(None)
        elif self.read_only:
            done.set_exception(
                ReadOnly("this server only reads", next_step="ask the one that was started without --read-only")
            )
        else:
            self._jobs.put((writes, done))
        return done

    @abstractmethod
    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Every row that a query finds, as of the last commit."""

    async def logs(self) -> list[str]:
        """The logs that have lines, one for each server that ever wrote."""
        rows = await self.read(sa.select(journal_table.c.log).distinct().order_by(journal_table.c.log))
        return [row.log for row in rows]

    async def journal_lines(self, log: str | None = None, *, after: int = 0) -> list[tuple[int, str, str]]:
        """A log (this server's own when none is named), oldest first, as (number, canonical entry, hash)."""
        rows = await self.read(_LINES, {"log": log or self.log, "after": after})
        return [(row.number, row.entry, row.hash) for row in rows]

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._close_connections()

    def _close_connections(self) -> None:
        self._writer.close()
        self._engine.dispose()

    def _connect(self, engine: sa.Engine) -> sa.Connection:
        connection = engine.connect()
        connection.info["log"] = self.log
        return connection

    def _begin_log(self) -> None:
        """This server's log is ours from here on."""
        last = self._writer.execute(_LAST, {"log": self.log}).first()
        self._head = (last.number, last.hash) if last else (0, journal.GENESIS)

    def _append(self, connection: sa.Connection, entry: JournalEntry) -> None:
        number, previous = self._head
        canonical = entry.canonical()
        self._head = (number + 1, journal.link(previous, canonical))
        values = {"log": self.log, "number": number + 1, "entry": canonical, "hash": self._head[1]}
        run(connection, _APPEND, values)

    def _write_until_closed(self) -> None:
        while (job := self._jobs.get()) is not None:
            group = [job]
            closing = False
            while len(group) < _LARGEST_GROUP and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    closing = True
                    break
                group.append(following)
            # A caller that was cancelled while it waited in the queue wants no write, and its future takes no result.
            self._commit_group([job for job in group if job[1].set_running_or_notify_cancel()])
            if closing:
                return

    def _commit_group(self, group: list[_Job]) -> None:
        """Commit what can be, and tell each caller. What another server's commit crossed is tried again."""
        for attempt in range(1, _TRIES + 1):
            head_before = self._head
            try:
                failed, topics = self._try_group(group)
                break
            except sa.exc.SQLAlchemyError as error:
                self._head = head_before
                self._roll_back()
                if attempt < _TRIES and self._may_try_again(error):
                    continue
                self._fail(group, error)
                return
            except Exception as error:  # noqa: BLE001  # whatever it is, nobody may wait for ever
                self._head = head_before
                self._roll_back()
                for _, done in group:
                    done.set_exception(error)
                return
        self.changes.tell(topics, elsewhere=False)
        for index, (_, done) in enumerate(group):
            if index in failed:
                done.set_exception(failed[index])
            else:
                done.set_result(None)

    def _try_group(self, group: list[_Job]) -> tuple[dict[int, BaseException], set[str]]:
        """Which outcomes failed, by their places, and what the others are about; those are committed."""
        self._ready()
        head_before = self._head
        done = self._try(group, careful=False)
        if done is None:  # one failed and took the others with it: again, each by itself
            self._head = head_before
            self._roll_back()
            done = self._try(group, careful=True)
        return done or ({}, set())

    def _try(self, group: list[_Job], *, careful: bool) -> tuple[dict[int, BaseException], set[str]] | None:
        failed: dict[int, BaseException] = {}
        topics: set[str] = set()
        self._say(self._BEGIN)
        for index, (writes, _) in enumerate(group):
            error = self._apply(writes, careful=careful)
            if error is None:
                topics.update(self._topics[type(write)] for write in writes if type(write) in self._topics)
                continue
            if not careful:
                return None
            failed[index] = error
        self._announce(topics)
        self._say("COMMIT")
        return failed, topics

    def _fail(self, group: list[_Job], error: sa.exc.SQLAlchemyError) -> None:
        cause = StateError(f"the state could not be written: {_reason(error)}", next_step=self._WHEN_WRITING_FAILS)
        for _, done in group:
            done.set_exception(cause)

    def _apply(self, writes: Writes, *, careful: bool) -> BaseException | None:
        """Carry out the writes of one outcome. `careful`: if one fails, what came before this outcome stays."""
        head_before = self._head
        if careful:
            self._say("SAVEPOINT outcome")
        try:
            for write in writes:
                self._appliers[type(write)](self._writer, write)
        except Exception as error:
            if not self._is_outcomes_fault(error):
                raise
            # Whatever an outcome breaks must not end the writer.
            self._head = head_before
            if careful:
                self._say("ROLLBACK TO SAVEPOINT outcome")
                self._say("RELEASE SAVEPOINT outcome")
            return error
        if careful:
            self._say("RELEASE SAVEPOINT outcome")
        return None

    def _roll_back(self) -> None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # there may be no transaction to end
            self._say("ROLLBACK")

    # What differs between databases; what a database does not need, it leaves as it is

    def _say(self, words: str) -> None:
        """Begin or end a transaction."""
        self._writer.exec_driver_sql(words)

    def _ready(self) -> None:  # noqa: B027
        """Before a group: the connection to write on is there. Raises `StateError`."""

    def _announce(self, topics: set[str]) -> None:  # noqa: B027
        """In the transaction: other servers learn of these topics when it is committed."""

    def _is_outcomes_fault(self, error: Exception) -> bool:
        """Whether others may be committed without this outcome; else the disk is at fault, or the connection."""
        return not isinstance(error, sa.exc.OperationalError)

    def _may_try_again(self, _error: sa.exc.SQLAlchemyError) -> bool:
        """Whether only the moment was bad, and nothing was committed."""
        return False


_APPEND = sa.insert(journal_table)
_LAST = (
    sa.select(journal_table.c.number, journal_table.c.hash)
    .where(journal_table.c.log == sa.bindparam("log"))
    .order_by(journal_table.c.number.desc())
    .limit(1)
)
_LINES = (
    sa.select(journal_table.c.number, journal_table.c.entry, journal_table.c.hash)
    .where(journal_table.c.log == sa.bindparam("log"), journal_table.c.number > sa.bindparam("after"))
    .order_by(journal_table.c.number)
)


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def run(connection: sa.Connection, statement: sa.Executable, parameters: Mapping[str, Any]) -> int:
    """For appliers, what is done often: how many rows a change is about.

    The statement lives as long as the program, with parameters of the same names each time, so that it is prepared.
    """
    prepared: Prepared | None = connection.info.get(PREPARED)
    count = prepared.run(statement, parameters) if prepared is not None else None
    return connection.execute(statement, parameters).rowcount if count is None else count


def rows(connection: sa.Connection, statement: sa.Executable, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """The same for a query: what it finds."""
    prepared: Prepared | None = connection.info.get(PREPARED)
    found = prepared.rows(statement, parameters) if prepared is not None else None
    return connection.execute(statement, parameters).fetchall() if found is None else found


def one_at_a_time(connection: sa.Connection, what: str) -> None:
    """For appliers: from here to the end of this commit, no other server is between here and there for the same thing.

    On SQLite a commit is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_AT_A_TIME, {"name": f"handsel {what}"})


_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def apply_once(count: int, otherwise: Callable[[], HandselError]) -> None:
    """Raise `otherwise()` unless a guarded statement changed exactly one row."""
    if count != 1:
        raise otherwise()
