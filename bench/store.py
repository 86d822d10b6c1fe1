"""What the group commit gains: one writer that takes what piled up, against a commit for each row. Durable, 700 bytes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from harness import BENCH
from report import Report, interleave, run

from handsel.store.adapters import sql
from handsel.store.adapters.database import Database
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore
from handsel.store.adapters.sqlite import SqliteStore

sys.path.insert(0, str(BENCH.parent))
ROUNDS, SECONDS, CALLERS = 6, 1.5, 16
_rows = sa.Table(
    "bench_rows", sql.metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("body", sa.LargeBinary)
)
_BODY = secrets.token_bytes(700)
_INSERT = sa.insert(_rows)
Write = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    row_id: str


APPLIERS = {Row: lambda connection, row: connection.execute(_INSERT, {"id": row.row_id, "body": _BODY})}


def bench(report: Report, options: argparse.Namespace) -> None:
    report.conditions |= {"rounds": ROUNDS, "seconds": SECONDS, "callers": CALLERS, "row_bytes": len(_BODY)}
    with postgres(options.postgres) as database, tempfile.TemporaryDirectory(prefix="hs-store") as folder:
        sides: dict[str, Callable[[int], Iterator[Write]]] = {
            "sqlite/group": lambda number: grouped(SqliteStore(Path(folder) / f"{number}g", APPLIERS)),
            "sqlite/commit per row": lambda number: one_by_one(SqliteStore(Path(folder) / f"{number}r", APPLIERS)),
            "sqlite/sqlite3 alone": lambda number: bare(Path(folder) / f"{number}b"),
        }
        if database is not None:
            sides["postgresql/group"] = lambda _: grouped(PostgresStore(database, APPLIERS, log="g"))
            sides["postgresql/commit per row"] = lambda _: one_by_one(PostgresStore(database, APPLIERS, log="r"))
        for number, side in interleave(tuple(sides), ROUNDS):
            with contextlib.contextmanager(sides[side])(number) as write:
                report.add(number, side, asyncio.run(measure(write)))
    report.compare("per_s", "sqlite/group", "sqlite/commit per row")
    report.compare("per_s", "sqlite/group", "sqlite/sqlite3 alone")
    if database is not None:
        report.compare("per_s", "postgresql/group", "postgresql/commit per row")
        report.compare("per_s", "postgresql/group", "sqlite/group")


async def measure(write: Write) -> dict[str, float]:
    """Writes that were durable in a second, and how long a caller waited for one, in milliseconds."""
    waited: list[float] = []
    end = time.perf_counter() + SECONDS

    async def call() -> None:
        while (begun := time.perf_counter()) < end:
            await write()
            waited.append((time.perf_counter() - begun) * 1e3)

    begun = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    spent = time.perf_counter() - begun
    ordered = statistics.quantiles(waited, n=100)
    return {"per_s": len(waited) / spent, "p50_ms": ordered[49], "p99_ms": ordered[98]}


def grouped(store: SqlStore) -> Iterator[Write]:
    yield lambda: store.commit((Row(secrets.token_hex(16)),))
    store.close()


def one_by_one(store: SqlStore) -> Iterator[Write]:
    """The same writer, which takes one outcome at a time."""
    largest, sql._LARGEST_GROUP = sql._LARGEST_GROUP, 1
    try:
        yield from grouped(store)
    finally:
        sql._LARGEST_GROUP = largest


def bare(path: Path) -> Iterator[Write]:
    """Python's sqlite3 and nothing else, in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        connection = thread.submit(sqlite3.connect, path, isolation_level=None).result()

        def insert() -> None:
            connection.execute("INSERT INTO rows VALUES (?, ?)", (secrets.token_hex(16), _BODY))

        for each in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE rows (id TEXT PRIMARY KEY, body BLOB)",
        ):
            thread.submit(connection.execute, each).result()

        async def write() -> None:
            await asyncio.get_running_loop().run_in_executor(thread, insert)

        yield write
        thread.submit(connection.close).result()


@contextlib.contextmanager
def postgres(wanted: bool) -> Iterator[Database | None]:
    if not wanted:
        yield None
        return
    from tests.postgres import new_database, running

    with running() as server:
        yield new_database(server)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-postgres", dest="postgres", action="store_false", help="leave PostgreSQL out, which comes from a wheel"
    )


if __name__ == "__main__":
    run(
        Report("store", "durable writes a second: the group writer ÷ a commit for each row, 16 callers"), bench,
        seconds=180, options=_options,
    )  # fmt: skip
