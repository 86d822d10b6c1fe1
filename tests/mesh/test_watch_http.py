"""The watch: every publication of a host once, in order, a ping in quiet times, and an end when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from handsel.link.messages import PING, Frame, Index
from handsel.mesh.adapters import watch_http
from handsel.mesh.adapters.watch_http import Watches


class Published:
    """Publications that a test makes by hand."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, Frame]] = []
        self.watches = Watches(self._since)

    def publish(self, host: str, sequence: int) -> None:
        self.frames.append((host, Frame(sequence, "resources", "web", b"%d" % sequence)))
        self.watches.notify()

    async def _since(self, host: str, sequence: int) -> list[Frame]:
        return [frame for owner, frame in self.frames if owner == host and frame.sequence > sequence]


async def _next(frames: AsyncIterator[bytes]) -> Frame:
    piece = await asyncio.wait_for(anext(frames), 5)
    return Frame.decode(piece[4:])


async def test_a_watch_begins_with_a_ping_so_that_the_client_knows_that_it_stands():
    assert (await _next(Published().watches.frames("a", 0))).kind == PING


async def test_a_host_gets_what_is_its_own_and_newer():
    published = Published()
    for host, sequence in (("a", 1), ("b", 2), ("a", 3)):
        published.publish(host, sequence)
    frames = published.watches.frames("a", 1)
    await _next(frames)
    # What it should have by now, so that it finds out when this server was set back to an older state.
    index = await _next(frames)
    assert (index.sequence, index.kind) == (0, Index.KIND)
    assert Index.decode(index.body) == Index.of([published.frames[0][1]])
    assert (await _next(frames)).sequence == 3
    following = asyncio.create_task(_next(frames))
    await asyncio.sleep(0.01)
    assert not following.done()
    published.publish("b", 4)
    published.publish("a", 5)
    assert (await following).sequence == 5


async def test_nothing_is_missed_that_was_published_while_the_client_was_slow():
    published = Published()
    frames = published.watches.frames("a", 0)
    await _next(frames)
    published.publish("a", 1)
    assert (await _next(frames)).sequence == 1
    # The watch stands between two frames here, and looks again before it waits.
    published.publish("a", 2)
    published.publish("a", 3)
    assert [(await _next(frames)).sequence for _ in range(2)] == [2, 3]


async def test_quiet_times_are_filled_with_pings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch_http, "_PING_SECONDS", 0.01)
    frames = Published().watches.frames("a", 0)
    assert [(await _next(frames)).kind for _ in range(3)] == [PING] * 3


async def test_every_watch_ends_when_the_server_stops():
    published = Published()
    open_watches = [published.watches.frames(host, 0) for host in ("a", "b")]
    for frames in open_watches:
        await _next(frames)
    waiting = [asyncio.create_task(_rest(frames)) for frames in open_watches]
    await asyncio.sleep(0.01)
    published.watches.end()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [[], []]


async def _rest(frames: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in frames]


async def test_a_client_that_leaves_takes_its_watch_with_it():
    published = Published()
    frames = published.watches.frames("a", 0)
    await _next(frames)
    with contextlib.suppress(StopAsyncIteration):
        await frames.aclose()
    published.publish("a", 1)
    assert await _rest(frames) == []


async def test_the_watch_of_one_host_is_ended_and_no_other():
    published = Published()
    watches = {host: published.watches.frames(host, 0) for host in ("a", "b")}
    for frames in watches.values():
        await _next(frames)
    published.watches.close("a")
    with pytest.raises(StopAsyncIteration):
        await _next(watches["a"])
    published.publish("b", 1)
    assert (await _next(watches["b"])).sequence == 1
    # Whoever is let in again has a watch again.
    again = published.watches.frames("a", 0)
    await _next(again)
    published.publish("a", 2)
    assert (await _next(again)).sequence == 2
