"""The two commits around every use of an issuer's key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from handsel.authority import key_use, service
from handsel.authority.adapters.lint import Linter
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Issuers, Leaf
from handsel.authority.service import Intent
from handsel.store.adapters.sql import SqlStore
from handsel.store.outcome import Writes

Leaves = tuple[Leaf, ...]


class Issuing:
    """Makes certificates of intents. `issuers` gives the CAs that sign at that moment."""

    def __init__(self, store: SqlStore, issuers: Callable[[], Issuers], linter: Linter | None = None) -> None:
        self._store = store
        self._linter = linter or Linter()
        self._directory = Directory(store)
        self.issuers = issuers

    async def issue(self, intent: Intent, *, also: Callable[[Leaves], Writes] = lambda _: ()) -> Leaves:
        """The intent's certificates. `also` gives what is written in the same commit as they are.

        Raises `KeyRefused` before anything is written, when a key is known to others or is somebody else's, and
        `Refused` when a profile wants its leaves linted and one has an error.
        """
        await self._check_keys(intent)
        for each in intent.drafts:
            if each.draft.profile.lint_leaves:
                await self._linter.require_clean(each.draft)
        await self._store.commit(intent.writes)  # durable: now the key may be used
        # A P-256 or Ed25519 signature costs less than handing it to a thread; others block the loop for too long.
        quick = all(each.draft.issuer.key.is_quick for each in intent.drafts)
        outcome = (
            service.issue(intent, now=now()) if quick else await asyncio.to_thread(service.issue, intent, now=now())
        )
        await self._store.commit((*outcome.writes, *also(outcome.answer)))  # durable: now it may be seen
        return outcome.answer

    async def _check_keys(self, intent: Intent) -> None:
        drafts = [each.draft for each in intent.drafts]
        pins = [each.key_pin for each in drafts]
        key_use.check_all(drafts, pins, await self._directory.key_users(pins))


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
