"""How often clients may ask (RFC 8555, section 6.6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.acme.problems import Identifier
from handsel.authority.acme.limits import Buckets, registered_name, too_many
from handsel.model.authority import Acme, Limits
from tests.authority.acme.world import AcmeWorld, Client

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


def test_a_bucket_fills_steadily_and_never_over() -> None:
    moment = [0.0]
    buckets = Buckets(lambda: moment[0])
    assert [buckets.take([("a", 4)]) is None for _ in range(5)] == [True] * 4 + [False]
    name, wait = buckets.take([("a", 4)])
    assert (name, round(wait)) == ("a", 900)
    moment[0] += 899
    assert buckets.take([("a", 4)]) is not None
    moment[0] += 1
    assert buckets.take([("a", 4)]) is None
    moment[0] += 1e6
    assert [buckets.take([("a", 4)]) is None for _ in range(5)] == [True] * 4 + [False]


def test_all_or_nothing_is_taken() -> None:
    buckets = Buckets(lambda: 0.0)
    buckets.take([("small", 1)])
    for _ in range(5):
        assert buckets.take([("large", 2), ("small", 1)])[0] == "small"
    assert buckets.take([("large", 2)]) is None
    assert buckets.take([("large", 2)]) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("ab")), max_size=200))
def test_nobody_gets_more_than_was_said(steps: list[tuple[float, str]]) -> None:
    """In any span of time a bucket gives at most its size and what flowed in since."""
    moment = [0.0]
    buckets = Buckets(lambda: moment[0])
    taken = {"a": 0, "b": 0}
    for pause, name in steps:
        moment[0] += pause
        if buckets.take([(name, 20)]) is None:
            taken[name] += 1
    for count in taken.values():
        assert count <= 20 + moment[0] * 20 / 3600 + 1e-6


def test_memory_is_bounded() -> None:
    buckets = Buckets(lambda: 0.0, most_kept=10)
    for number in range(1000):
        buckets.take([(str(number), 5)])
    assert len(buckets._held) == 10


def test_what_names_are_counted_under() -> None:
    assert registered_name(Identifier("dns", "*.a.b.pay.internal")) == "pay.internal"
    assert registered_name(Identifier("dns", "localhost")) == "localhost"
    assert registered_name(Identifier("ip", "10.0.0.7")) == "10.0.0.7"
    assert dict(too_many("x", 1e9, "u").headers)["Retry-After"] == "86400"
