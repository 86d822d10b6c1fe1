"""State in SQL tables: one writer thread with natural group commit, whatever the database.

The writer takes whatever piled up while the last commit synced; no timer. Each outcome has a savepoint of its own, so
one that fails does not fail the others that share its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from handsel.errors import HandselError, StateError
from handsel.store import journal
from handsel.store.journal import JournalEntry
from handsel.store.outcome import Appliers, Writes

_LARGEST_GROUP = 512

metadata = sa.MetaData()
"""The schema. Each room's `tables` adapter adds its tables to it."""

journal_table = sa.Table(
    "journal",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

_Job = tuple[Writes, "Future[None]"]


class SqlStore:
    """A `Store` over a database that `engine` opens. Reads go through `read`, writes through `commit`; `close` it."""

    _BEGIN = "BEGIN"

    def __init__(self, engine: sa.Engine, appliers: Appliers, *, prepare: Callable[[sa.Connection], None]) -> None:
        self._engine = engine
        self._appliers: Appliers = {**appliers, JournalEntry: self._append}
        self._writer = self._engine.connect()
        try:
            prepare(self._writer)
            self._head = self._load_head()
        except BaseException:
            self._close_connections()
            raise
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_until_closed, name="store-writer", daemon=True)
        self._thread.start()

    async def commit(self, writes: Writes) -> None:
        """See `Store.commit`."""
        await asyncio.wrap_future(self.submit(writes))

    def submit(self, writes: Writes) -> Future[None]:
        """The same for callers without an event loop: a future that is done when the writes are durable."""
        done: Future[None] = Future()
        self._jobs.put((writes, done))
        return done

    async def read(
        self, statement: sa.Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Every row that a query finds, as of the last commit."""
        raise NotImplementedError

    async def journal_lines(self) -> list[tuple[int, str, str]]:
        """The journal, oldest first, as (number, canonical entry, hash)."""
        rows = await self.read(sa.select(journal_table).order_by(journal_table.c.number))
        return [(row.number, row.entry, row.hash) for row in rows]

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._close_connections()

    def _close_connections(self) -> None:
        self._writer.close()
        self._engine.dispose()

    def _load_head(self) -> tuple[int, str]:
        last = self._writer.execute(
            sa.select(journal_table.c.number, journal_table.c.hash).order_by(journal_table.c.number.desc()).limit(1)
        ).first()
        return (last.number, last.hash) if last else (0, journal.GENESIS)

    def _append(self, connection: sa.Connection, entry: JournalEntry) -> None:
        number, previous = self._head
        canonical = entry.canonical()
        self._head = (number + 1, journal.link(previous, canonical))
        connection.execute(_APPEND, {"number": number + 1, "entry": canonical, "hash": self._head[1]})

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
        head_before = self._head
        failed: dict[int, BaseException] = {}
        try:
            self._writer.exec_driver_sql(self._BEGIN)
            for index, (writes, _) in enumerate(group):
                error = self._apply(writes)
                if error is not None:
                    failed[index] = error
            self._writer.exec_driver_sql("COMMIT")
        except sa.exc.SQLAlchemyError as error:
            self._head = head_before
            self._roll_back()
            cause = StateError(
                f"the state could not be written: {_reason(error)}", next_step="check the disk and the folder's mode"
            )
            for _, done in group:
                done.set_exception(cause)
            return
        for index, (_, done) in enumerate(group):
            if index in failed:
                done.set_exception(failed[index])
            else:
                done.set_result(None)

    def _apply(self, writes: Writes) -> BaseException | None:
        head_before = self._head
        self._writer.exec_driver_sql("SAVEPOINT outcome")
        try:
            for write in writes:
                self._appliers[type(write)](self._writer, write)
        except sa.exc.OperationalError:
            raise  # the disk is at fault, not this outcome
        except Exception as error:  # noqa: BLE001  # whatever an outcome breaks must not end the writer
            self._head = head_before
            self._writer.exec_driver_sql("ROLLBACK TO outcome")
            self._writer.exec_driver_sql("RELEASE outcome")
            return error
        self._writer.exec_driver_sql("RELEASE outcome")
        return None

    def _roll_back(self) -> None:
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # there may be no transaction to end
            self._writer.exec_driver_sql("ROLLBACK")


_APPEND = sa.insert(journal_table)


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)


def apply_once(count: int, otherwise: Callable[[], HandselError]) -> None:
    """Raise `otherwise()` unless a guarded statement changed exactly one row."""
    if count != 1:
        raise otherwise()
