"""Which of several servers does what only one should: it holds a lock of the database for as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from handsel.authority import service as authority
from handsel.authority.adapters import ended_tables, shared_nonces
from handsel.authority.adapters.ended_tables import EndedForgotten
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.limit_tables import FullForgotten
from handsel.authority.adapters.tables import Directory
from handsel.errors import Conflict, HandselError
from handsel.store.adapters.database import AdvisoryLock
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore

_log = structlog.get_logger("handsel.server")
_LOOK_SECONDS = 2.0
_SWEEP_SECONDS = 30.0
_STALE_AFTER = timedelta(minutes=10)
_KEPT = timedelta(days=30)
"""How long orders, authorizations and unused tickets are kept after their end: people ask what became of them."""
_BATCH = 200


class Leader:
    """Asks for the lock every two seconds. A server that is alone always leads; one that only reads never does.

    Periodic work asks `is_leader` before each step, not only at its start. `leading` is set as long as it is true.
    """

    def __init__(self, store: SqlStore) -> None:
        self.leading = asyncio.Event()
        self._lock: AdvisoryLock | None = None
        if store.read_only:
            return
        if isinstance(store, PostgresStore):
            self._lock = AdvisoryLock(store.database, "handsel leader")
        else:
            self.leading.set()

    @property
    def is_leader(self) -> bool:
        """Whether this server does now what only one should."""
        return self.leading.is_set()

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask for the lock until the end of this, then give it back."""
        if self._lock is None:
            yield
            return
        await self._ask(self._lock)
        asking = asyncio.create_task(self._keep_asking(self._lock))
        try:
            yield
        finally:
            self.leading.clear()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.to_thread(self._lock.release)

    async def _keep_asking(self, lock: AdvisoryLock) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._ask(lock)

    async def _ask(self, lock: AdvisoryLock) -> None:
        held = await asyncio.shield(asyncio.to_thread(lock.hold))
        if held and not self.is_leader:
            _log.info("this server does the periodic work now")
        if held:
            self.leading.set()
        else:
            self.leading.clear()


async def sweep(store: SqlStore, directory: Directory, leader: Leader, recover: Callable[[], Awaitable[None]]) -> None:
    """For ever, on the leader: go on with what servers that died left unfinished, and forget what is old.

    `recover` is what a server does with orders and challenges when it starts again, once intentions are settled.
    """
    while True:
        await leader.leading.wait()
        try:
            await settle_stale(store, directory, now())
            if isinstance(store, PostgresStore):
                await settle_dead(store, directory)
                await store.commit(shared_nonces.forget(time.time()))
            await recover()
            await forget_ended(store, now())
        except HandselError as error:
            _log.warning("what dead servers left is not settled yet", problem=str(error))
        await asyncio.sleep(_SWEEP_SECONDS)


async def forget_ended(store: SqlStore, moment: datetime) -> None:
    """Take away what ended long ago, in batches: requests are served in between."""
    await store.commit((FullForgotten(moment.timestamp()),))
    before = moment - _KEPT
    while await ended_tables.has_ended(store, before):
        await store.commit((EndedForgotten(before, _BATCH),))


async def settle_stale(store: SqlStore, directory: Directory, moment: datetime) -> None:
    """Abandon intentions whose second commit failed while the server lived: the disk was full, the database away.

    One that is not stale but slow finds itself abandoned when it would be written down, and is handed out to nobody.
    """
    for serial in await directory.unfinished_since(moment - _STALE_AFTER):
        with contextlib.suppress(Conflict):  # it was settled meanwhile
            await store.commit(authority.settle([serial], now=moment).writes)


async def settle_dead(store: PostgresStore, directory: Directory) -> None:
    """Abandon the intentions of servers that are gone: the lock of their log is free, so they cannot go on with it."""
    for log in await directory.unfinished_logs():
        unfinished = await directory.unfinished(log)
        if log == store.log or await asyncio.to_thread(store.is_alive, log):
            continue
        # One that came back in between settles its own: then this conflicts, and nothing is done twice.
        with contextlib.suppress(Conflict):
            await store.commit(authority.settle(unfinished, now=now()).writes)
