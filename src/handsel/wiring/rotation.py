"""Rotation of issuing CAs and of the root, put together: gather what holders report, take a step, write it down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from handsel.authority import rotation
from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import ROOT, CaPlan, Known, State
from handsel.authority.model import Issuers
from handsel.authority.rotation import Control, Facts, Step
from handsel.errors import HandselError, StateError, UsageError
from handsel.link.messages import Bundle
from handsel.model.authority import Authority
from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry
from handsel.wiring import rehearsal
from handsel.wiring.authority_keys import issuers_of
from handsel.wiring.holders import Holders, Places
from handsel.wiring.leader import Leader
from handsel.wiring.rehearsal import AWAY, plan_of
from handsel.wiring.storage import AUTHORITIES

_log = structlog.get_logger("handsel.rotation")
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What rotation asks of the server, and whom it tells: `changed` gets the CAs that sign from then on."""

    trust_domain: TrustDomain
    settings: Callable[[], Authority]
    issuers: Callable[[], Issuers]
    bundle: Callable[[], Bundle]
    places: Callable[[], Places]
    changed: Callable[[Issuers], Awaitable[None]]


class Rotations:
    """The rotations of one authority. One server at a time moves them: the one that leads."""

    def __init__(self, store: SqlStore, keys: KeyFolder, leader: Leader, around: Surroundings) -> None:
        self._store = store
        self._keys = keys
        self._leader = leader
        self._around = around
        self._tables = Authorities(store)
        self.holders = Holders(self._tables, around.places, around.bundle)
        self._moving = asyncio.Lock()
        self._heard = asyncio.Event()
        store.changes.on(AUTHORITIES, self._heard.set, elsewhere=True)

    async def keep(self) -> None:
        """For ever: take the steps that may be taken."""
        while True:
            await self._leader.leading.wait()
            try:
                for name in self._names():
                    await self.advance(name)
                    await self._follow(name)
            except HandselError as error:
                _log.warning("a rotation stands still", problem=str(error))
            except Exception:  # noqa: BLE001  # one mistake must not end all rotations
                _log.exception("rotation made a mistake")
            await asyncio.sleep(_LOOK_SECONDS)

    async def listen(self) -> None:
        """For ever: when another server took a step, sign here as it says too, once its keys are here as well."""
        said = ""
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                await self._around.changed(await self.issuers_now())
                said = ""
            except HandselError as error:
                if str(error) != said:
                    _log.error("another server rotated a CA, and this one cannot follow", problem=str(error))
                said = str(error)
                await asyncio.sleep(_LOOK_SECONDS)
                self._heard.set()

    async def begin(self, name: str, *, by: str, dry_run: bool = False) -> dict[str, Any]:
        """Make a newcomer for a CA, or take the one that was installed. Raises `UsageError`, `Refused`, `StateError`.

        With `dry_run` nothing is begun: who would be waited for.
        """
        async with self._moving:
            self._check(name)
            cas = await self._of(name)
            if dry_run:
                return {"name": name, "waiting": self.holders.waiting(now())}
            if not self._leader.is_leader:  # its folder gets the keys, and it takes the next steps
                raise UsageError("another server leads, and only that one begins a rotation", next_step="ask it")
            stored, certificate = await self._newcomer(name, cas, by)
            step = rotation.begin(cas, certificate, stored, now())
            await self._take(step, Control(name), by=by, act="begin")  # what was decided about the last is over
        return await self.shown(name)

    async def rehearse(self, name: str) -> dict[str, Any]:
        """What would go wrong, and who would be waited for, if a rotation began now. Raises `UsageError`."""
        scenes = await rehearsal.rehearse(
            name, self._keys, self._tables, self._around.settings(), self._around.trust_domain,
            self._around.issuers().roots[0],
        )  # fmt: skip
        return {"name": name, "scenes": rehearsal.shown(scenes), "waiting": self.holders.waiting(now())}

    async def _newcomer(self, name: str, cas: list[Known], by: str) -> tuple[str, Certificate]:
        """The key and certificate that come next: what was installed, what a crash left, or new ones."""
        if any(each.state in (State.NEXT, State.PUBLISHED) for each in cas):
            raise UsageError(f"{name} is being rotated already", next_step="handsel ca rotate status")
        installed = self._installed(name, cas)
        if installed is not None:
            return installed
        if not self._keys.roots.can_sign():
            raise StateError(f"a certificate for {name!r} is missing, and the root's key is not here", next_step=AWAY)
        stored = self._keys.following(name)
        # Durable before the root's key is used.
        await self._store.commit((entry("rotation", now(), name=name, act="intend", key=stored, by=by),))
        if name == ROOT:
            made = await asyncio.to_thread(self._keys.roots.succeed, self._around.trust_domain, now())
            return stored, made.root
        plan, make = self._plan(name), self._keys.make_issuing
        return stored, await asyncio.to_thread(make, self._around.trust_domain, plan, stored, now=now())

    def _installed(self, name: str, cas: list[Known]) -> tuple[str, Certificate] | None:
        """The newest key and certificate in the folder, if no rotation has taken them yet."""
        taken = {each.key for each in cas}
        for stored in self._keys.generations(name):
            found = self._keys.certificate(stored)
            if stored not in taken and found is not None:
                return stored, found
        return None

    async def _follow(self, name: str) -> None:
        """Rotate an issuing CA whose root signs no more, if its new certificate is here or can be made here."""
        paused = (await self._tables.control(ROOT)).paused or (await self._tables.control(name)).paused
        if not paused and await self._must_follow(name) and await self._can_begin(name):
            await self.begin(name, by="server")

    async def _must_follow(self, name: str) -> bool:
        return name != ROOT and rotation.must_follow(await self._of(ROOT), await self._of(name))

    async def _can_begin(self, name: str) -> bool:
        return self._keys.roots.can_sign() or self._installed(name, await self._of(name)) is not None

    async def advance(self, name: str) -> Step:
        """Take the next step of a CA's rotation, if there is one and nothing holds it up."""
        async with self._moving:
            cas, control = await self._of(name), await self._tables.control(name)
            step = rotation.advance(cas, await self._facts(name, cas), control, now())
            if step.changes:
                used = any(each.state in (State.ACTIVE, State.REMOVED) for each in step.changes)
                done = (replace(control, override=""),) if control.override and used else ()  # it was for this step
                await self._take(step, *done, by="server", act="step")
            return step

    async def undo(self, name: str, *, by: str) -> dict[str, Any]:
        """Back to the CA before, and no step further until somebody says so. Raises `Refused`.

        The issuing CAs that followed a root go back with it.
        """
        self._check(name)
        async with self._moving:
            cas = await self._of(name)
            if name == ROOT:
                issuing = [await self._of(each) for each in self._around.issuers().by_name]
                step = rotation.undo_root(cas, issuing, now())
            else:
                step = rotation.undo(cas, now())
            control = replace(await self._tables.control(name), paused=True, override="", by=by)
            await self._take(step, control, by=by, act="undo")
        return await self.shown(name)

    async def taint(self, name: str, *, by: str, reason: str) -> dict[str, Any]:
        """The CA before was compromised: drop it without waiting. Raises `Refused`."""
        async with self._moving:
            await self._take(rotation.taint(await self._of(name), now()), by=by, act="taint", reason=reason)
        return await self.shown(name)

    async def control(self, name: str, *, by: str, paused: bool | None = None, override: str = "") -> dict[str, Any]:
        """Pause, go on, or go on without those who do not answer, whose names are written down with the reason."""
        self._check(name)
        async with self._moving:
            before = await self._tables.control(name)
            after = replace(before, paused=before.paused if paused is None else paused, override=override, by=by)
            missing = ",".join(self.holders.waiting(now())) if override else ""
            line = entry(
                "rotation", now(), name=name, act="override" if override else "pause" if after.paused else "resume",
                by=by, reason=override, missing=missing,
            )  # fmt: skip
            await self._store.commit((after, line))
        return await self.shown(name)

    async def shown(self, name: str) -> dict[str, Any]:
        """How a CA's rotation stands, and what holds it up."""
        cas = await self._of(name)
        control = await self._tables.control(name)
        step = rotation.advance(cas, await self._facts(name, cas), control, now())
        held_up = list(step.held_up_by)
        if await self._must_follow(name) and not await self._can_begin(name):
            held_up.append(f"its root signs no more, and the new one's key is not here: {AWAY}")
        return {
            "name": name,
            "paused": control.paused,
            "override": control.override,
            "heldUpBy": held_up,
            "authorities": [
                {
                    "keyId": each.key_id, "state": str(each.state), "since": each.since.isoformat(),
                    "notAfter": each.certificate.not_after.isoformat(),
                }
                for each in cas
            ],
        }  # fmt: skip

    async def all_shown(self) -> list[dict[str, Any]]:
        """The same of every CA, the root first."""
        return [await self.shown(name) for name in self._names()]

    def _names(self) -> tuple[str, ...]:
        return (ROOT, *self._around.issuers().by_name)

    async def _of(self, name: str) -> list[Known]:
        return [each for each in await self._tables.all() if each.name == name]

    async def _facts(self, name: str, cas: list[Known]) -> Facts:
        waiting, moment = tuple(self.holders.waiting(now())), now()
        notice = self._around.settings().root_notice if name == ROOT else timedelta()
        leaving = next((each for each in cas if each.state in (State.RETIRING, State.TAINTED)), None)
        if leaving is None:
            return Facts(waiting, dwell=notice)
        signers = await self._below(leaving) if name == ROOT else [leaving]
        showing = await self.holders.showing(signers) if leaving.state is State.TAINTED else ()
        if name == ROOT:
            below = tuple(dict.fromkeys(each.name for each in signers))
            return Facts(waiting, below=below, showing=showing, dwell=notice)
        return Facts(waiting, await self._tables.leaves(name, leaving.since, moment), showing=showing)

    async def _below(self, root: Known) -> list[Known]:
        """The issuing CAs that hang from a root and are not gone."""
        known = [each for each in await self._tables.all() if not each.is_root]
        return [each for each in known if each.parent == root.key_id and each.state is not State.REMOVED]

    async def _take(self, step: Step, *also: Control, by: str, act: str, reason: str = "") -> None:
        """Write a step down; then sign as it says."""
        moment = now()
        lines = [
            entry(
                "rotation", moment, name=each.name, act=act, key_id=each.key_id, state=str(each.state), by=by,
                reason=reason,
            )
            for each in step.changes
        ]  # fmt: skip
        await self._store.commit((*step.writes, *also, *lines))
        for each in step.changes:
            _log.info("rotation", name=each.name, key_id=each.key_id[:16], state=str(each.state))
        if any(each.state is not State.NEXT for each in step.changes):
            await self._around.changed(await self.issuers_now())

    async def issuers_now(self) -> Issuers:
        """The CAs as the table says. Raises `StateError` when a key cannot be loaded."""
        known = await self._tables.all()
        active = {each.name: each for each in known if each.state is State.ACTIVE and not each.is_root}
        signing = [
            self._keys.load(name, self._around.trust_domain, key=active[name].key)
            for name in self._around.issuers().by_name
        ]
        return issuers_of(self._keys, self._around.trust_domain, signing, known)

    def _check(self, name: str) -> None:
        """Raises `UsageError` for a CA that is none."""
        if name != ROOT:
            self._plan(name)

    def _plan(self, name: str) -> CaPlan:
        return plan_of(name, self._around.settings())
