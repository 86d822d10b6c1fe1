"""How many certificates were issued is known without counting them."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority.adapters import tables
from handsel.authority.adapters.tables import Directory
from handsel.authority.directory import Abandoned, Intended, Issued
from handsel.authority.revocation import Reason, Revoked
from handsel.errors import Conflict
from handsel.store.adapters.memory import MemoryStore
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.postgres import new_database
from tests.support import NOW

COUNTED = sa.text("SELECT count(*) FROM certificates WHERE state = 'issued'")


def intended(serial: str) -> Intended:
    ends = NOW + timedelta(hours=1)
    return Intended(serial, "x", ("x",), "issuing", "workload", "ab" * 32, NOW, ends, "agent/a1")


async def counts(store: SqlStore) -> tuple[int, int]:
    """As it is known, and as it is counted."""
    return await Directory(store).issued_count(), (await store.read(COUNTED))[0][0]


async def issue(store: SqlStore, *serials: str) -> None:
    await store.commit(tuple(intended(serial) for serial in serials))
    for serial in serials:
        await store.commit((Issued(serial, b"der", "f"),))


@given(st.lists(st.tuples(st.sampled_from(["issue", "abandon", "fail"]), st.integers(0, 9)), max_size=30))
def test_it_is_what_counting_says_whatever_happens(acts: list[tuple[str, int]]) -> None:
    asyncio.run(_check(acts))


async def _check(acts: list[tuple[str, int]]) -> None:
    store = MemoryStore(APPLIERS)
    try:
        await store.commit(tuple(intended(str(each)) for each in range(10)))
        for act, which in acts:
            settled = Abandoned(str(which)) if act == "abandon" else Issued(str(which), b"der", "f")
            with contextlib.suppress(Conflict):
                # One that fails takes back what came before it.
                await store.commit((settled, Issued("nothing", b"", "")) if act == "fail" else (settled,))
            known, counted = await counts(store)
            assert known == counted
    finally:
        store.close()


async def test_two_servers_count_together_and_revoked_ones_stay(postgres: Any) -> None:
    database = new_database(postgres)
    stores = [PostgresStore(database, APPLIERS, log=log) for log in ("one", "two", "three")]
    try:
        assert await counts(stores[0]) == (0, 0)
        await issue(stores[0], "1", "2", "3")
        await issue(stores[1], "4", "5")
        await stores[1].commit((Revoked("4", "issuing", Reason.SUPERSEDED, NOW, "test"),))
        await stores[2].commit((intended("6"),))
        for store in stores:
            assert await counts(store) == (5, 5)
    finally:
        for store in stores:
            store.close()


async def test_a_copy_goes_on_where_it_was_made(store: SqliteStore, tmp_path: Path) -> None:
    await issue(store, "1", "2")
    (tmp_path / "copy").mkdir()
    with store._engine.connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{tmp_path / 'copy' / 'handsel.db'}'")
    await issue(store, "3")
    copy = SqliteStore(tmp_path / "copy" / "handsel.db", APPLIERS)
    try:
        assert await counts(copy) == (2, 2)
        await issue(copy, "4", "5")
        assert await counts(copy) == (4, 4)
    finally:
        copy.close()
    assert await counts(store) == (3, 3)


async def test_nothing_is_scanned(store: SqliteStore) -> None:
    """The count takes a step in the index for each server, the next number one."""
    one = tables.certificates.c.serial == "7"
    following = sa.update(tables.certificates).where(one).values(number=tables._NEXT_NUMBER).compile(store._engine)
    asked = {str(tables._ISSUED_COUNT): (), str(following): tuple(following.params.values())}
    with store._engine.connect() as connection:
        for statement, values in asked.items():
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            plan = [row.detail for row in found if "certificates" in row.detail or "numbered" in row.detail]
            assert plan
            assert all(each.startswith("SEARCH") for each in plan), plan
