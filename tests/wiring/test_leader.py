"""Who does what only one should, and what is then done about intentions that came to nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.authority.adapters.tables import Directory
from handsel.authority.directory import Intended, Issued
from handsel.errors import Conflict
from handsel.store.adapters.memory import MemoryStore
from handsel.store.adapters.postgres import PostgresStore
from handsel.wiring.leader import Leader, settle_dead, settle_stale
from handsel.wiring.storage import APPLIERS
from tests.postgres import new_database
from tests.support import NOW

OLD = Intended("7", "x", ("x",), "issuing", "default", "k", NOW, NOW + timedelta(hours=1), "account/a")
FRESH = replace(OLD, serial="8", key_pin="l", not_before=NOW + timedelta(minutes=9))


async def test_an_intention_that_stays_unsettled_is_abandoned_and_a_fresh_one_is_not():
    store = MemoryStore(APPLIERS)
    directory = Directory(store)
    await store.commit((OLD, FRESH))
    await settle_stale(store, directory, NOW + timedelta(minutes=11))
    assert await directory.unfinished() == ["8"]
    with pytest.raises(Conflict):  # too late: it is handed out to nobody
        await store.commit((Issued("7", b"der", "f"),))
    await store.commit((Issued("8", b"der", "f"),))
    store.close()


async def test_what_a_dead_server_intended_is_abandoned_and_what_a_living_one_did_is_not(postgres):
    database = new_database(postgres)
    one, two = (PostgresStore(database, APPLIERS, log=log) for log in ("one", "two"))
    await one.commit((OLD,))
    await settle_dead(two, Directory(two))
    assert await Directory(two).unfinished("one") == ["7"]
    one.close()
    await settle_dead(two, Directory(two))
    assert await Directory(two).unfinished("one") == []
    two.close()


async def test_one_of_two_servers_leads_and_the_other_when_it_has_gone(postgres):
    database = new_database(postgres)
    stores = [PostgresStore(database, APPLIERS, log=log) for log in ("one", "two")]
    first, second = (Leader(store) for store in stores)
    async with second.asking():
        async with first.asking():
            assert second.is_leader
            assert not first.is_leader
        assert not first.is_leader
    assert not second.is_leader
    async with first.asking():
        assert first.is_leader
        async with second.asking():
            pass
        async with asyncio.timeout(1):
            await first.leading.wait()
    for store in stores:
        store.close()


async def test_who_is_alone_leads_and_who_only_reads_does_not(postgres):
    alone = MemoryStore(APPLIERS)
    assert Leader(alone).is_leader
    alone.close()
    reading = PostgresStore(new_database(postgres), APPLIERS, log="one", read_only=True)
    leader = Leader(reading)
    async with leader.asking():
        assert not leader.is_leader
    reading.close()
