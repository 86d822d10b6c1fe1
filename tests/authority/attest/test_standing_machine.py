"""Whatever hosts and people do, in any order: a ticket lets one host in, a replay keeps it out until somebody acts."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handsel.authority import service
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.attest import stories
from handsel.authority.model import Standing
from handsel.errors import HandselError, Refused, TicketRefused
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import first_broken
from handsel.wiring.storage import APPLIERS
from tests.authority.world import ReplayedError, World

REQUEST = csr.build(PrivateKey.generate(), None)
WRONG = Secret(b"x" * 32)


class JoiningMachine(RuleBasedStateMachine):
    """One ticket, the host that it lets in, and the standing that it should have. No host is there before it joins."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(SqliteStore(Path(self.folder.name) / "handsel.db", APPLIERS))
        self.expected: Standing | None = None
        self.ends = self.world.now + timedelta(minutes=10)
        self._do(self.world.ticket())

    @rule(knows=st.booleans())
    def join(self, knows: bool) -> None:
        async def attempt() -> str:
            secret = {} if knows else {"secret": WRONG}
            try:
                intent = await self.world.intend_join(PrivateKey.generate(), **secret)
                await self.world.issue(intent)
            except ReplayedError as error:
                use = await Registry(self.world.store).use_of(str(error))
                host = await self.world.directory.host(use.agent_id)
                told = stories.replayed(use, host.standing, host_name="h", client="c", now=self.world.now)
                await self.world.store.commit(told.writes)
                return "replayed"
            except TicketRefused:
                return "refused"
            return "joined"

        seen = self._do(attempt())
        if not knows:
            assert seen == "refused"
        elif self.expected is not None:
            assert seen == "replayed"
            if self.expected is Standing.GOOD:
                self.expected = Standing.QUARANTINED
        elif self.world.now < self.ends:
            assert seen == "joined"
            self.expected = Standing.GOOD
        else:
            assert seen == "refused"

    @precondition(lambda self: self.expected is not None)
    @rule(standing=st.sampled_from(Standing))
    def somebody_acts(self, standing: Standing) -> None:
        try:
            told = stories.set_standing(self._host(), standing, "because", now=self.world.now, by="local")
        except Refused:
            assert standing is self.expected
            return
        self._do(self.world.store.commit(told.writes))
        self.expected = standing

    @rule(minutes=st.integers(1, 8))
    def time_goes_by(self, minutes: int) -> None:
        self.world.now += timedelta(minutes=minutes)

    @invariant()
    def only_a_host_in_good_standing_gets_anything(self) -> None:
        host = self._host()
        assert (host.standing if host else None) == self.expected
        if host is None:
            return
        for ask in (
            lambda: service.renew_agent(host, REQUEST, **self.world.handed_in),
            lambda: service.sign_workloads(host, [("web", REQUEST)], **self.world.handed_in),
        ):
            try:
                ask()
            except HandselError:
                assert self.expected is not Standing.GOOD
            else:
                assert self.expected is Standing.GOOD

    def teardown(self) -> None:
        assert first_broken(self._do(self.world.store.journal_lines())) is None
        self.world.store.close()
        self.folder.cleanup()

    def _host(self):
        return self._do(self.world.directory.host("a1"))

    def _do(self, coroutine):
        return asyncio.run(coroutine)


TestJoining = JoiningMachine.TestCase
TestJoining.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
