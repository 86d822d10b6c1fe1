"""Whatever clients do in whatever order: states follow only as RFC 8555, section 7.1.6 allows, and nothing is unproven."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from handsel.acme import lifecycle
from handsel.acme.lifecycle import Status, may_follow
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.authority.acme.world import AcmeWorld, Answer, Client
from tests.support import TestAuthority

_NAMES = ("a.test.internal", "b.test.internal", "c.test.internal")
_AUTHORITY: list[TestAuthority] = []


def _authority() -> TestAuthority:
    from datetime import UTC, datetime

    if not _AUTHORITY:
        _AUTHORITY.append(TestAuthority.make(datetime.now(UTC)))
    return _AUTHORITY[0]


class Acme(RuleBasedStateMachine):
    """Two clients at one door. `model` of each order: its names; of each name: whether its client controls it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="hs")
        self.store = SqliteStore(Path(self.folder.name) / "handsel.db", APPLIERS)
        self.world = AcmeWorld(self.store, _authority(), controlled={_NAMES[0]})
        self.clients: list[Client] = [self.run(self.world.client()) for _ in range(2)]
        self.closed: set[int] = set()
        self.orders: list[tuple[int, tuple[str, ...], Answer]] = []
        self.seen: dict[str, Status] = {}
        self.proven: dict[str, set[str]] = {}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.world.door.stop())
        self.loop.close()
        self.store.close()
        self.folder.cleanup()
        assert not self.world.bugs

    def order(self, number: int) -> tuple[Client, tuple[str, ...], Answer]:
        who, names, answer = self.orders[number % len(self.orders)]
        return self.clients[who], names, answer

    @rule(who=st.integers(0, 1), names=st.lists(st.sampled_from(_NAMES), min_size=1, max_size=2, unique=True))
    def wish(self, who: int, names: list[str]) -> None:
        answer = self.run(self.clients[who].order(*names))
        if who in self.closed:
            assert answer.kind == "unauthorized"
        else:
            assert answer.status == 201
            self.orders.append((who, tuple(names), answer))

    @rule(name=st.sampled_from(_NAMES))
    def control_changes(self, name: str) -> None:
        self.world.controlled ^= {name}

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 50), which=st.integers(0, 5))
    def try_challenge(self, number: int, which: int) -> None:
        client, _, answer = self.order(number)
        url = answer.json["authorizations"][which % len(answer.json["authorizations"])]
        shown = self.run(client.post(url))
        if shown.status != 200:
            return
        challenges = shown.json["challenges"]
        name = shown.json["identifier"]["value"]
        started = self.run(client.post(challenges[which % len(challenges)]["url"], {}))
        if shown.json["status"] == "pending":
            assert started.status == 200
            settled = self.run(client.settled(url))
            assert (settled["status"] == "valid") == (name in self.world.controlled)
            if settled["status"] == "valid":
                self.proven.setdefault(client.account_id, set()).add(name)

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 50), which=st.integers(0, 5))
    def give_up(self, number: int, which: int) -> None:
        client, _, answer = self.order(number)
        urls = answer.json["authorizations"]
        self.run(client.post(urls[which % len(urls)], {"status": "deactivated"}))

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 50), wrong=st.booleans())
    def finalize(self, number: int, wrong: bool) -> None:
        client, names, answer = self.order(number)
        before = self.run(client.post(answer.headers["Location"]))
        asked = (*names, "more.test.internal") if wrong else names
        done = self.run(client.finalize(answer, *asked))
        if before.status == 200 and before.json["status"] == "ready" and not wrong:
            assert done.json["status"] == "valid"
            assert set(names) <= self.proven[client.account_id]
        else:
            assert done.kind in ("orderNotReady", "badCSR", "unauthorized")

    @rule(who=st.integers(0, 1))
    def close(self, who: int) -> None:
        if len(self.orders) > 3:
            self.run(self.clients[who].post(self.clients[who].kid, {"status": "deactivated"}))
            self.closed.add(who)

    @rule()
    def restart(self) -> None:
        self.run(self.world.door.stop())
        self.world.door = self.world.open_door()
        self.run(self.world.door.recover())

    @invariant()
    def states_follow_each_other(self) -> None:
        for who, _, answer in self.orders:
            if who in self.closed:
                continue
            shown = self.run(self.clients[who].post(answer.headers["Location"])).json
            self._follow(answer.headers["Location"], lifecycle.ORDER, shown)
            assert ("certificate" in shown) == (shown["status"] == "valid")
            assert ("error" in shown) == (shown["status"] == "invalid")
            for url in answer.json["authorizations"]:
                self._follow(url, lifecycle.AUTHORIZATION, self.run(self.clients[who].post(url)).json)

    def _follow(self, url: str, table: Any, shown: dict[str, Any]) -> None:
        after = Status(shown["status"])
        before = self.seen.get(url, after)
        steps = {before} | {each for each in Status if may_follow(table, before, each)}
        # Between two looks an order may take more than one step.
        for _ in Status:
            steps |= {each for step in steps for each in Status if may_follow(table, step, each)}
        assert after in steps, (url, before, after)
        self.seen[url] = after


TestAcme = Acme.TestCase
TestAcme.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
