"""Sealing and opening, with the tables and the keys at hand. What may block is done in a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from handsel.errors import Conflict, SealKeyMissing, SecretMissing
from handsel.pki.secret import Secret
from handsel.secrets import envelope
from handsel.secrets.adapters.keys import Keyring
from handsel.secrets.adapters.tables import Tables
from handsel.secrets.envelope import KeyEncryptionKey
from handsel.secrets.model import KeyActivated, KeyForgotten, KeyRecord, Rewrapped, Version
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

_BATCH = 100
_TRIES = 3
_T = TypeVar("_T")


@dataclass(frozen=True)
class Rotated:
    """What `rotate_key` did: how many versions it wrapped anew, and the keys that were destroyed."""

    key_id: str
    place: str
    rewrapped: int
    forgotten: tuple[str, ...]
    continued: bool


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


class Vault:
    """The sealed secrets of a store."""

    def __init__(self, store: SqlStore, keyring: Keyring) -> None:
        self.tables = Tables(store)
        self._store = store
        self._keyring = keyring
        self._opened: dict[str, KeyEncryptionKey] = {}
        self._busy = asyncio.Lock()

    async def write(self, decide: Callable[[KeyEncryptionKey], Awaitable[Outcome[_T]]]) -> _T:
        """Decide with the active key, commit, and give the answer; anew when somebody else was between."""
        for attempt in range(1, _TRIES + 1):
            outcome = await decide(await self._active())
            try:
                await self._store.commit(outcome.writes)
            except Conflict:
                if attempt == _TRIES:
                    raise
                continue
            return outcome.answer
        raise AssertionError("one of the attempts ended")

    async def value(self, version_id: str) -> tuple[Version, Secret]:
        """Raises `SecretMissing`, `SealKeyMissing`, `SealBroken`, `StateError`."""
        found = await self.tables.sealed(version_id)
        if found is None:
            raise SecretMissing("this version is gone")
        version, sealed = found
        records = {record.key_id: record for record in await self.tables.keys()}
        if sealed.kek not in records:
            raise SealKeyMissing(f"{version.name} is sealed with the key {sealed.kek}, of which nothing is known")
        kek = await self._open(records[sealed.kek])
        if kek.is_quick:
            return version, envelope.unseal(sealed, version, kek)
        return version, await asyncio.to_thread(envelope.unseal, sealed, version, kek)

    async def rotate_key(self, *, by: str) -> Rotated:
        """Wrap every version's key anew under another key; what a crash left half done is finished first.

        Raises `SealKeyMissing` when the old key is not there, `StateError`.
        """
        async with self._busy:
            records = await self.tables.keys()
            continued = len(records) > 1
            if not continued:
                await self._begin_rotation(records[0] if records else None, by)
                records = await self.tables.keys()
            active, *others = records
            after = await self._open(active)
            rewrapped = 0
            while batch := await self.tables.wrapped_by_others(active.key_id, _BATCH):
                rewrapped += await self._rewrap(batch, {each.key_id: each for each in others}, after)
            for each in others:
                # Destroyed first: what is forgotten is never looked for again. Nothing is sealed under it any more, and
                # nothing can be, since only the active key seals.
                await asyncio.to_thread(self._keyring.destroy, each)
                self._opened.pop(each.key_id, None)
                line = entry("secrets key destroyed", now(), key=each.key_id, place=each.place, by=by)
                await self._store.commit((KeyForgotten(each.key_id), line))
            return Rotated(active.key_id, active.place, rewrapped, tuple(each.key_id for each in others), continued)

    async def _begin_rotation(self, before: KeyRecord | None, by: str) -> None:
        if before is not None:
            await self._open(before)  # without it nothing could be wrapped anew
        made = await asyncio.to_thread(self._keyring.make, before)
        await self._activate(made, before, by)

    async def _rewrap(
        self, batch: list[tuple[Version, str, bytes]], others: dict[str, KeyRecord], after: KeyEncryptionKey
    ) -> int:
        writes = []
        for version, kek, wrapped in batch:
            before = await self._open(others[kek])
            again = await asyncio.to_thread(envelope.rewrap, wrapped, version, before, after)
            writes.append(Rewrapped(version.version_id, kek, after.key_id, again))
        try:
            await self._store.commit(tuple(writes))
        except Conflict:  # one of them was deleted, or is too old by now: the next round reads again
            return 0
        return len(writes)

    async def _active(self) -> KeyEncryptionKey:
        """The key that seals now; made at the first use."""
        async with self._busy:
            records = await self.tables.keys()
            if records:
                return await self._open(records[0])
            made = await asyncio.to_thread(self._keyring.make, None)
            try:
                await self._activate(made, None, "handsel")
            except Conflict:  # another server was first
                await asyncio.to_thread(self._keyring.destroy, _record(made, active=False))
                return await self._open((await self.tables.keys())[0])
            return made

    async def _activate(self, made: KeyEncryptionKey, before: KeyRecord | None, by: str) -> None:
        line = entry("secrets key", now(), key=made.key_id, place=made.place, by=by)
        await self._store.commit((KeyActivated(_record(made, active=True), before.key_id if before else None), line))
        self._opened[made.key_id] = made

    async def _open(self, record: KeyRecord) -> KeyEncryptionKey:
        if record.key_id not in self._opened:
            self._opened[record.key_id] = await asyncio.to_thread(self._keyring.open, record)
        return self._opened[record.key_id]


def _record(key: KeyEncryptionKey, *, active: bool) -> KeyRecord:
    return KeyRecord(key.key_id, key.place, now(), active)


random = os.urandom
"""Random bytes of this machine."""
