"""What ended long ago is taken away by the server that leads; certificates, the journal and used tickets stay."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from handsel.acme.lifecycle import Status
from handsel.authority.acme.limits import Taken
from handsel.authority.acme.model import Saved
from handsel.authority.adapters import ended_tables
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.tables import Directory
from handsel.authority.directory import TicketBound, TicketMade, TicketRedeemed, TicketUsed
from handsel.authority.model import Ticket, TicketBounds
from handsel.model.authority import Profile
from handsel.store.adapters.memory import MemoryStore
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import entry, first_broken
from handsel.wiring import leader
from handsel.wiring.leader import forget_ended
from handsel.wiring.storage import APPLIERS
from tests.authority.acme.world import AcmeWorld
from tests.postgres import new_database
from tests.support import NOW, TestAuthority

A, B = "a.test.internal", "b.test.internal"
DAY = timedelta(days=1)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def each_store(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    if request.param == "sqlite":
        yield request.getfixturevalue("store")
        return
    made: SqlStore
    if request.param == "memory":
        made = MemoryStore(APPLIERS)
    else:
        made = PostgresStore(new_database(request.getfixturevalue("postgres")), APPLIERS, log="one")
    yield made
    made.close()


async def test_orders_and_authorizations_are_taken_away_a_month_after_they_ended(
    each_store: Any, living_authority: TestAuthority
) -> None:
    """RFC 8555, 7.1.2.1: the list of an account's orders leads to what is there."""
    acme = AcmeWorld(each_store, living_authority)
    acme.written["long"] = Profile("long", timedelta(days=60), acme=True)
    client, made = await acme.client(), datetime.now(UTC)
    certificate = await client.certificate(A, profile="long")
    await client.order(B)  # and nothing more comes of it
    (alive, idle) = await acme.objects.orders_of(client.account_id, after=None, alive_from=made - DAY, most=9)
    serial = f"cert/{certificate.serial}"

    async def seen() -> tuple[list[str], int, list[str]]:
        """The account's list, the status of the order that was left alone, and the authorizations of the other one."""
        listed = (await client.post(f"account/{client.account_id}/orders")).json["orders"]
        answers = [(await client.post(url)) for url in listed]
        assert all(each.status == 200 for each in answers)
        names = [answer.json["identifiers"][0]["value"] for answer in answers]
        proven = answers[0].json["authorizations"] if answers else []
        for url in proven:
            assert (await client.post(url)).json["status"] == "valid"
        return names, (await client.post(f"order/{idle.order_id}")).status, proven

    await forget_ended(each_store, made + 30 * DAY)
    assert await seen() == ([A, B], 200, [f"https://ca.test:8443/acme/authz/{alive.authorizations[0]}"])
    await forget_ended(each_store, made + 32 * DAY)
    assert await seen() == ([A], 404, [])
    assert await acme.objects.authorization(idle.authorizations[0]) is None
    await forget_ended(each_store, made + 89 * DAY)
    assert (await seen())[0] == [A]
    await forget_ended(each_store, made + 91 * DAY)
    assert await seen() == ([], 404, [])
    assert (await client.post(serial)).status == 200
    assert await acme.directory.issued_count() == 1
    assert first_broken(await each_store.journal_lines()) is None
    assert (await client.order(A)).status == 201


async def test_an_order_whose_certificate_is_being_made_stays(acme_world: AcmeWorld) -> None:
    client = await acme_world.client()
    order = await client.order(A)
    await client.prove(order)
    found = await acme_world.objects.order(order.headers["Location"].rpartition("/")[2])
    await acme_world.store.commit((Saved(replace(found, status=Status.PROCESSING)),))
    await forget_ended(acme_world.store, datetime.now(UTC) + 365 * DAY)
    assert await AcmeObjects(acme_world.store).order(found.order_id) is not None


@pytest.fixture
def acme_world(store: SqliteStore, living_authority: TestAuthority) -> AcmeWorld:
    return AcmeWorld(store, living_authority)


async def test_tickets_that_nobody_used_are_taken_away_and_used_ones_stay(each_store: Any) -> None:
    bounds = TicketBounds("a.example", "", "")
    for name, ends in (("unused", NOW), ("used", NOW), ("fresh", NOW + DAY)):
        await each_store.commit((TicketMade(Ticket(name, b"k", ("web",), ends)), TicketBound(name, bounds)))
    await each_store.commit((TicketRedeemed("used"), TicketUsed("used", "a1")))
    await forget_ended(each_store, NOW + 30 * DAY)
    assert await Directory(each_store).ticket("unused")
    await forget_ended(each_store, NOW + 30 * DAY + timedelta(seconds=1))
    left = [name for name in ("unused", "used", "fresh") if await Directory(each_store).ticket(name)]
    assert left == ["used", "fresh"]
    assert [await Registry(each_store).bounds(name) != TicketBounds() for name in ("unused", "used", "fresh")] == [
        False, True, True,
    ]  # fmt: skip
    assert (await Registry(each_store).use_of("used")).agent_id == "a1"


async def test_others_write_in_between(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "_BATCH", 10)
    await store.commit(tuple(TicketMade(Ticket(str(each), b"k", ("web",), NOW)) for each in range(105)))
    sizes: list[int] = []
    count = sa.text("SELECT count(*) FROM tickets")

    async def others() -> None:
        while not sizes or sizes[-1]:
            await store.commit((entry("something", NOW),))
            sizes.append((await store.read(count))[0][0])

    await asyncio.gather(forget_ended(store, NOW + 31 * DAY), others())
    assert len(set(sizes)) > 3  # seen half done, a batch at a time
    assert all(after >= before - 30 for before, after in itertools.pairwise(sizes))


async def test_what_is_full_needs_no_row(each_store: Any) -> None:
    await each_store.commit((Taken("a", 1, 1, NOW.timestamp()),))
    names = sa.text("SELECT name FROM acme_limits")
    await forget_ended(each_store, NOW + timedelta(minutes=59))
    assert len(await each_store.read(names)) == 1
    await forget_ended(each_store, NOW + timedelta(minutes=61))
    assert not await each_store.read(names)


async def test_what_ended_is_found_by_an_index(store: SqliteStore) -> None:
    for statement in (ended_tables._ENDED_ORDERS, ended_tables._ENDED_AUTHORIZATIONS, ended_tables._UNUSED_TICKETS):
        text = str(statement.compile(compile_kwargs={"render_postcompile": True}))
        plan = await store.read(sa.text(f"EXPLAIN QUERY PLAN {text}"), {"before": 0.0, "most": 1})
        assert all("USING" in row.detail and "INDEX" in row.detail for row in plan), plan
        assert not any("TEMP B-TREE" in row.detail for row in plan), plan
