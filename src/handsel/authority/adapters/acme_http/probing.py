"""Looking at challenges beside the requests, and writing down what was seen (RFC 8555, section 7.5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme import challenges
from handsel.authority.acme.model import Authorization, Challenge
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import now
from handsel.errors import Conflict, HandselError
from handsel.store.outcome import Store

_TRIES = 3
_PATIENCE_SECONDS = 0.25


class Probe(Protocol):
    """Looks whether a client controls a name, and whether the account may prove it so. Raises `Problem`."""

    async def __call__(
        self, kind: str, identifier: Identifier, token: str, thumbprint: str, *, account: str, wildcard: bool
    ) -> None: ...


class Probing:
    """The probes under way."""

    def __init__(self, store: Store, objects: AcmeObjects, probe: Probe, on_bug: Callable[[Exception], None]) -> None:
        self._store = store
        self._objects = objects
        self._probe = probe
        self._on_bug = on_bug
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    def look(self, authorization: Authorization, challenge: Challenge, thumbprint: str) -> None:
        """Begin to look at a challenge that was started, unless that is under way."""
        name = (authorization.authorization_id, challenge.kind)
        if name in self._under_way:
            return
        task = asyncio.get_running_loop().create_task(self._settle(authorization, challenge, thumbprint))
        self._under_way[name] = task
        task.add_done_callback(lambda _done: self._under_way.pop(name, None))

    async def wait(self, authorization: Authorization, challenge: Challenge) -> None:
        """Until this challenge is settled, or for a quarter of a second: most clients need not ask again then."""
        task = self._under_way.get((authorization.authorization_id, challenge.kind))
        if task is not None:
            await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)

    async def stop(self) -> None:
        """Leave off; what was under way is looked at again after the next start."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, authorization: Authorization, challenge: Challenge, thumbprint: str) -> None:
        failure: Problem | None = None
        try:
            await self._probe(
                challenge.kind, authorization.identifier, challenge.token, thumbprint,
                account=authorization.account_id, wildcard=authorization.wildcard,
            )  # fmt: skip
        except Problem as problem:
            failure = problem
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not leave the challenge hanging
            self._on_bug(error)
            failure = Problem("serverInternal", "the server made a mistake while it looked")
        for _ in range(_TRIES):
            current = await self._objects.authorization(authorization.authorization_id)
            if current is None:
                return
            try:
                await self._store.commit(challenges.settle(current, challenge.kind, failure, now=now()).writes)
            except Conflict:
                continue
            except HandselError as error:  # it stays in processing, and is looked at again after the next start
                self._on_bug(error)
            return
