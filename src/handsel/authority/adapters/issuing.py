"""The two commits around every use of an issuer's key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from handsel.authority import service
from handsel.authority.model import Issuers, Leaf
from handsel.authority.service import Intent
from handsel.store.outcome import Store, Writes

Leaves = tuple[Leaf, ...]


class Issuing:
    """Makes certificates of intents. `issuers` gives the CAs that sign at that moment."""

    def __init__(self, store: Store, issuers: Callable[[], Issuers]) -> None:
        self._store = store
        self.issuers = issuers

    async def issue(self, intent: Intent, *, also: Callable[[Leaves], Writes] = lambda _: ()) -> Leaves:
        """The intent's certificates. `also` gives what is written in the same commit as they are."""
        await self._store.commit(intent.writes)  # durable: now the key may be used
        # A P-256 or Ed25519 signature costs less than handing it to a thread; others block the loop for too long.
        quick = all(each.draft.issuer.key.kind.is_quick for each in intent.drafts)
        outcome = (
            service.issue(intent, now=now()) if quick else await asyncio.to_thread(service.issue, intent, now=now())
        )
        await self._store.commit((*outcome.writes, *also(outcome.answer)))  # durable: now it may be seen
        return outcome.answer


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
