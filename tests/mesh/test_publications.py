"""Publications in the store: a host that was away gets the newest body of each key once, and none that it has."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from handsel.link.resume import Publish
from handsel.mesh.adapters import publications as tables
from handsel.mesh.adapters.publications import Publications
from handsel.store.adapters.sqlite import SqliteStore


async def test_a_host_gets_what_is_its_own_in_the_order_of_publishing(store):
    publications = Publications(store)
    await store.commit((Publish("a", "assignment", "", b"1"), Publish("b", "bundle", "", b"2")))
    await store.commit((Publish("a", "resources", "web", b"3"),))
    frames = await publications.since("a", 0)
    assert [(frame.kind, frame.key, frame.body) for frame in frames] == [
        ("assignment", "", b"1"),
        ("resources", "web", b"3"),
    ]
    assert await publications.since("nobody", 0) == []


async def test_a_host_that_was_away_gets_the_newest_body_once(store):
    publications = Publications(store)
    await store.commit((Publish("a", "resources", "web", b"1"), Publish("a", "resources", "emoji", b"1")))
    seen = (await publications.since("a", 0))[-1].sequence
    for body in (b"2", b"3", b"4"):
        await store.commit((Publish("a", "resources", "web", body),))
    frames = await publications.since("a", seen)
    assert [(frame.key, frame.body) for frame in frames] == [("web", b"4")]
    assert await publications.since("a", frames[-1].sequence) == []


async def test_the_sequence_grows_also_when_the_newest_row_is_replaced(store):
    publications = Publications(store)
    sequences = []
    for body in (b"1", b"2", b""):
        await store.commit((Publish("a", "resources", "web", body),))
        sequences += [frame.sequence for frame in await publications.since("a", 0)]
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 3


async def test_a_key_that_was_taken_away_is_told_as_empty(store):
    publications = Publications(store)
    await store.commit((Publish("a", "resources", "web", b"1"),))
    seen = (await publications.since("a", 0))[-1].sequence
    await store.commit((Publish("a", "resources", "web", b""),))
    assert [frame.body for frame in await publications.since("a", seen)] == [b""]
    assert [each for _, each in await publications.after(0)] == [Publish("a", "resources", "web", b"")]


async def test_the_sequence_goes_on_after_the_store_was_opened_again(tmp_path):
    sequences = []
    for body in (b"1", b"2"):
        store = SqliteStore(tmp_path / "handsel.db", tables.APPLIERS)
        await store.commit((Publish("a", "resources", "web", body),))
        sequences.append((await Publications(store).since("a", 0))[-1].sequence)
        store.close()
    assert sequences[0] < sequences[1]


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["web", "emoji"]), st.binary(max_size=2)), max_size=12
)


@given(steps, st.data())
def test_wherever_a_host_stopped_it_ends_up_with_what_is_current(tmp_path_factory, changes, data):
    store = SqliteStore(tmp_path_factory.mktemp("store") / "handsel.db", tables.APPLIERS)
    publications = Publications(store)
    held: dict[tuple[str, str, str], bytes] = {}
    sequence = 0

    async def follow() -> dict[tuple[str, str, str], bytes]:
        nonlocal held, sequence
        for host, key, body in changes:
            await store.commit((Publish(host, "resources", key, body),))
            if data.draw(st.booleans()):
                for frame in await publications.since("a", sequence):
                    assert frame.sequence > sequence
                    held["a", frame.kind, frame.key], sequence = frame.body, frame.sequence
        held |= {("a", frame.kind, frame.key): frame.body for frame in await publications.since("a", sequence)}
        return {each.key_of: each.body for _, each in await publications.after(0)}

    current = asyncio.run(follow())
    store.close()
    assert held == {key: body for key, body in current.items() if key[0] == "a"}
