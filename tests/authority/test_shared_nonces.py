"""Nonces of several servers: valid at each, taken once by one (checklist of RFC 8555, §6.5)."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from handsel.acme.problems import Problem
from handsel.authority.adapters import shared_nonces
from handsel.authority.adapters.nonces import LIFETIME_SECONDS
from handsel.authority.adapters.shared_nonces import SharedNonces
from handsel.errors import NonceSpent
from handsel.store.adapters.memory import MemoryStore
from handsel.store.adapters.postgres import PostgresStore
from tests.postgres import new_database

BEGUN = 1_900_000_000.0


@pytest.fixture
def two(postgres):
    database = new_database(postgres)
    stores = [PostgresStore(database, shared_nonces.APPLIERS, log=log) for log in ("one", "two")]
    yield stores
    for store in stores:
        store.close()


async def test_servers_that_start_at_once_have_one_key_and_no_iv_twice(two):
    nonces = await asyncio.gather(*(SharedNonces.open(store) for store in two for _ in range(4)))
    made = [each.mint() for each in nonces for _ in range(10)]
    assert len({nonce[:16] for nonce in made}) == len(made)  # the first 12 bytes are the iv
    for nonce in made:
        for each in nonces:
            assert each.spend(nonce)


async def test_a_nonce_of_one_server_is_taken_once_whoever_takes_it(two):
    nonces = [await SharedNonces.open(store) for store in two]
    for maker in nonces:
        for _ in range(10):
            nonce = maker.mint()
            taken = [store.commit(each.spend(nonce)) for store, each in zip(two, nonces, strict=True)]
            results = await asyncio.gather(*taken, return_exceptions=True)
            assert results.count(None) == 1
            assert sum(isinstance(each, NonceSpent) for each in results) == 1


async def test_a_nonce_is_taken_with_what_it_leads_to_or_not_at_all():
    store = MemoryStore(shared_nonces.APPLIERS)
    nonces = await SharedNonces.open(store)
    first, second = nonces.mint(), nonces.mint()
    await store.commit(nonces.spend(first))
    with pytest.raises(NonceSpent):
        await store.commit((*nonces.spend(second), *nonces.spend(first)))
    await store.commit(nonces.spend(second))
    store.close()


async def test_old_nonces_are_refused_and_their_rows_forgotten_only_then():
    store, now = MemoryStore(shared_nonces.APPLIERS), BEGUN
    nonces = await SharedNonces.open(store, clock=lambda: now)
    nonce, unused = nonces.mint(), nonces.mint()
    await store.commit(nonces.spend(nonce))
    count = sa.text("SELECT count(*) FROM acme_nonces")
    now = BEGUN + LIFETIME_SECONDS - 1
    await store.commit(shared_nonces.forget(now))
    assert (await store.read(count))[0][0] == 1
    with pytest.raises(NonceSpent):
        await store.commit(nonces.spend(nonce))
    assert nonces.spend(unused)
    now = BEGUN + 2 * LIFETIME_SECONDS + 1
    await store.commit(shared_nonces.forget(now))
    assert (await store.read(count))[0][0] == 0
    for each in (nonce, unused):
        with pytest.raises(Problem):
            nonces.spend(each)
    store.close()


async def test_a_nonce_of_somebody_else_is_refused():
    store, other = MemoryStore(shared_nonces.APPLIERS), MemoryStore(shared_nonces.APPLIERS)
    nonces, others = await SharedNonces.open(store), await SharedNonces.open(other)
    assert others.spend(others.mint())
    for nonce in (others.mint(), "", "AAAA", nonces.mint()[:-2] + "AA", "ä"):
        with pytest.raises(Problem):
            nonces.spend(nonce)
    store.close()
    other.close()
