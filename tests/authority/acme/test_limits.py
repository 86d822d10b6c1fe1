"""How often clients may ask (RFC 8555, section 6.6)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.limits import (
    Bucket,
    Buckets,
    Taken,
    TooFew,
    counted_address,
    full_after,
    registered_name,
    too_many,
)
from handsel.authority.adapters.limit_tables import FullForgotten
from handsel.model.authority import Acme, Limits
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.authority.acme.world import AcmeWorld, Answer, Client
from tests.postgres import new_database
from tests.support import TestAuthority

A, B = "a.test.internal", "b.test.internal"


async def test_orders_of_one_account(acme: AcmeWorld) -> None:
    """§6.6 429 with Retry-After and a `help` link, that leads somewhere; another account is not touched."""
    acme.settings = Acme(limits=Limits(orders_per_account=2))
    client, other = await acme.client(), await acme.client()
    for _ in range(2):
        assert (await client.order(A)).status == 201
    refused = await client.order(A)
    assert (refused.status, refused.kind) == (429, "rateLimited")
    assert 0 < int(refused.headers["Retry-After"]) <= 1800
    (url,) = refused.links("help")
    assert (await acme.ask("GET", url)).json["ordersPerAccountAndHour"] == 2
    assert (await other.order(A)).status == 201


async def test_names_are_counted_by_their_last_two_labels(acme: AcmeWorld) -> None:
    acme.settings = Acme(limits=Limits(orders_per_name=2))
    for name in (A, B):
        assert (await (await acme.client()).order(name)).status == 201
    client = await acme.client()
    assert (await client.order("c.test.internal")).kind == "rateLimited"
    assert (await client.order("c.other.internal", "d.other.internal")).status == 201
    assert (await client.order("c.other.internal")).status == 201
    assert (await client.order("c.other.internal")).kind == "rateLimited"


async def test_new_accounts_of_one_address(acme: AcmeWorld) -> None:
    acme.settings = Acme(limits=Limits(accounts_per_address=1))
    first, second = Client(acme), Client(acme)
    assert (await first.post("new-account", {})).status == 201
    assert (await first.post("new-account", {})).status == 200  # one that is there already is not new
    assert (await second.post("new-account", {})).kind == "rateLimited"
    assert (await second.post("new-account", {}, client="192.0.2.2")).status == 201


async def test_zero_is_no_limit(acme: AcmeWorld) -> None:
    acme.settings = Acme(limits=Limits(0, 0, 0))
    client = await acme.client()
    for _ in range(20):
        assert (await client.order(A)).status == 201


@dataclass
class Servers:
    """Some servers that share buckets, and what they gave. `rows` is the table that they share."""

    count: int
    most: int
    now: float = 1.9e9
    rows: dict[str, float] = field(default_factory=dict)
    given: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.servers = [Buckets(lambda: self.now) for _ in range(self.count)]
        self.writes = 0

    def ask(self, server: int, *names: str) -> Problem | None:
        """As a request does that is counted under these names: it is decided again while there is too little."""
        for _ in range(3):
            try:
                taken = self.servers[server].take([Bucket(name, self.most, name) for name in names or ("a",)], "u")
            except Problem as problem:
                return problem
            before = dict(self.rows)
            try:
                for each in taken:
                    self.rows[each.name] = full_after(self.rows.get(each.name, each.at), each)
                    self.writes += 1
            except TooFew as error:
                self.rows = before
                self.servers[server].learn(error)
                continue
            self.servers[server].keep(taken)
            self.given.append(self.now)
            return None
        raise AssertionError("it was not decided")


def _wait(problem: Problem) -> int:
    return int(dict(problem.headers)["Retry-After"])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("most", [1, 4, 250])
def test_a_bucket_is_one_for_all_servers_and_fills_steadily(count: int, most: int) -> None:
    """What Retry-After says is true: a second before there is nothing, and then there is one for whoever comes."""
    many = Servers(count, most)
    refused = next(found for turn in range(most + 1) if (found := many.ask(turn % count)))
    # What one server holds when it is refused elsewhere is less than a handful.
    assert most - (count - 1) * (most // 100) <= len(many.given) <= most
    while not all(many.ask(each) for each in range(count)):
        pass
    assert len(many.given) == most
    refused = many.ask(0)
    many.now += _wait(refused) - 1
    if _wait(refused) > 1:
        assert many.ask(count - 1)
    many.now += 1
    assert many.ask(count - 1) is None
    assert many.ask(0)
    many.now += 1e6
    assert sum(many.ask(0) is None for _ in range(most + 3)) == most


def test_a_server_that_starts_again_remembers() -> None:
    many = Servers(1, 3)
    assert [many.ask(0) is None for _ in range(4)] == [True] * 3 + [False]
    many.servers[0] = Buckets(lambda: many.now)
    assert many.ask(0)


def test_few_requests_of_a_large_bucket_cost_a_write() -> None:
    many = Servers(2, 20_000)
    for turn in range(2000):
        assert many.ask(turn % 2) is None
    assert many.writes == 10


def test_a_handful_that_nobody_wants_is_lost_after_a_while() -> None:
    many = Servers(2, 1000)
    many.ask(0)
    many.now += 599
    many.ask(0)
    assert many.writes == 1
    many.now += 2
    many.ask(0)
    assert many.writes == 2


def test_all_or_nothing_is_taken() -> None:
    many = Servers(1, 2)
    many.ask(0, "small")
    many.ask(0, "small")
    for _ in range(5):
        assert "small" in many.ask(0, "large", "small").detail
    assert many.ask(0, "large") is None
    assert many.ask(0, "large") is None
    assert many.ask(0, "large")


@given(
    st.sampled_from([1, 3, 20, 350]),
    st.lists(st.tuples(st.floats(0, 700), st.integers(0, 2), st.integers(1, 40)), max_size=60),
)
def test_nobody_gets_more_than_was_said(most: int, steps: list[tuple[float, int, int]]) -> None:
    """In any span of time a bucket gives at most its size and what flowed in, and what servers held before."""
    many = Servers(3, most)
    for pause, server, times in steps:
        many.now += pause
        for _ in range(times):
            many.ask(server)
    held = 3 * max(0, most // 100 - 1)
    for first, since in enumerate(many.given):
        for last in range(first, len(many.given)):
            flowed = (many.given[last] - since) * most / 3600
            assert last - first + 1 <= most + flowed + (held if first else 0) + 1e-3


def test_a_clock_that_went_back_costs_an_hour_at_most() -> None:
    many = Servers(1, 1)
    many.ask(0)
    many.now -= 1e7
    many.servers[0] = Buckets(lambda: many.now)
    assert _wait(many.ask(0)) == 3600


def test_memory_is_bounded() -> None:
    buckets = Buckets(lambda: 0.0, most_kept=10)
    for number in range(1000):
        buckets.take([Bucket(str(number), 5, "")], "u")
    assert len(buckets._held) == 10


async def test_two_servers_of_one_database_count_together(store: SqliteStore, living_authority: TestAuthority) -> None:
    """§6.6: a client gets no more by asking another server, and what Retry-After says holds at both."""
    first, second = AcmeWorld(store, living_authority), AcmeWorld(store, living_authority)
    clock = [1.9e9]
    for world in (first, second):
        world.settings = Acme(limits=Limits(orders_per_account=3))
        world.door._means = replace(world.door._means, buckets=Buckets(lambda: clock[0]))
    client = await first.client()

    async def order(world: AcmeWorld) -> Answer:
        client.world = world
        return await client.order(A)

    for world in (first, second, first):
        assert (await order(world)).status == 201
    for world in (second, first):
        refused = await order(world)
        assert refused.kind == "rateLimited"
    clock[0] += int(refused.headers["Retry-After"]) - 1
    assert (await order(second)).kind == "rateLimited"
    clock[0] += 1
    assert (await order(first)).status == 201
    assert (await order(second)).kind == "rateLimited"
    await store.commit((FullForgotten(clock[0]),))  # it is not full: nothing is forgotten
    assert (await order(AcmeWorld(store, living_authority, settings=second.settings))).kind == "rateLimited"


async def test_two_servers_of_one_postgresql_count_together(postgres: Any, living_authority: TestAuthority) -> None:
    """§6.6, at the same moment too."""
    database = new_database(postgres)
    stores = [PostgresStore(database, APPLIERS, log=log) for log in ("one", "two")]
    try:
        settings = Acme(limits=Limits(orders_per_name=6, accounts_per_address=12))
        worlds = [AcmeWorld(store, living_authority, settings=settings) for store in stores]
        clients = [await worlds[0].client() for _ in range(12)]
        assert (await Client(worlds[1]).post("new-account", {})).kind == "rateLimited"
        for each, client in enumerate(clients):
            client.world = worlds[each % 2]
        answers = await asyncio.gather(*(client.order(A) for client in clients))
        assert [each.status for each in answers].count(201) <= 6
        for client in clients:
            answers.append(await client.order(A))
        assert [each.status for each in answers].count(201) == 6
        assert answers[-1].kind == answers[-2].kind == "rateLimited"
    finally:
        for store in stores:
            store.close()


async def test_requests_at_the_same_moment_get_no_more(acme: AcmeWorld) -> None:
    acme.settings = Acme(limits=Limits(orders_per_name=5))
    clients = [await acme.client() for _ in range(12)]
    answers = await asyncio.gather(*(client.order(A) for client in clients))
    assert sorted(each.status for each in answers) == [201] * 5 + [429] * 7


async def test_what_is_full_is_forgotten(store: SqliteStore) -> None:
    await store.commit((Taken("a", 10, 1, 1000.0), Taken("b", 10, 5, 1000.0)))
    names = sa.text("SELECT name FROM acme_limits")
    await store.commit((FullForgotten(1359.0),))
    assert len(await store.read(names)) == 2
    await store.commit((FullForgotten(1361.0),))
    assert [row.name for row in await store.read(names)] == ["b"]


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"), ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("", ""),
    ],
)  # fmt: skip
def test_what_addresses_are_counted_under(client: str, counted: str) -> None:
    assert counted_address(client) == counted


def test_what_names_are_counted_under() -> None:
    assert registered_name(Identifier("dns", "*.a.b.pay.internal")) == "pay.internal"
    assert registered_name(Identifier("dns", "localhost")) == "localhost"
    assert registered_name(Identifier("ip", "10.0.0.7")) == "10.0.0.7"
    assert dict(too_many("x", 1e9, "u").headers)["Retry-After"] == "86400"
