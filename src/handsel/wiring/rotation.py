"""Rotation of issuing CAs, put together: it gathers what holders report, takes a step, and writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from handsel.authority import hierarchy, rotation
from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import CaPlan, Known, State
from handsel.authority.model import Issuers
from handsel.authority.rotation import Control, Facts, Step
from handsel.errors import HandselError, UsageError
from handsel.link.messages import WorkloadReport, fingerprint_of
from handsel.model.authority import IssuingCa
from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry
from handsel.wiring.authority_keys import issuers_of
from handsel.wiring.leader import Leader
from handsel.wiring.storage import AUTHORITIES

_log = structlog.get_logger("handsel.rotation")
_LOOK_SECONDS = 2.0

Places = Mapping[str, Mapping[str, WorkloadReport]]
"""What hosts reported, by host and service."""


@dataclass(frozen=True)
class Surroundings:
    """What rotation asks of the server, and whom it tells: `changed` gets the CAs that sign from then on."""

    trust_domain: TrustDomain
    issuing: Callable[[], Mapping[str, IssuingCa]]
    issuers: Callable[[], Issuers]
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
        self._moving = asyncio.Lock()
        self._heard = asyncio.Event()
        store.changes.on(AUTHORITIES, self._heard.set, elsewhere=True)

    async def keep(self) -> None:
        """For ever: take the steps that may be taken."""
        while True:
            await self._leader.leading.wait()
            try:
                for name in self._around.issuers().by_name:
                    await self.advance(name)
            except HandselError as error:
                _log.warning("a rotation stands still", problem=str(error))
            except Exception:  # noqa: BLE001  # one mistake must not end all rotations
                _log.exception("rotation made a mistake")
            await asyncio.sleep(_LOOK_SECONDS)

    async def listen(self) -> None:
        """For ever: when another server took a step, sign here as it says too."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                await self._around.changed(await self.issuers_now())
            except HandselError as error:
                _log.error("another server rotated a CA, and this one cannot follow", problem=str(error))

    async def begin(self, name: str, *, by: str, dry_run: bool = False) -> dict[str, Any]:
        """Make a newcomer for an issuing CA, or take the one that was installed. Raises `UsageError`, `Refused`."""
        async with self._moving:
            plan = self._plan(name)
            cas = await self._of(name)
            if dry_run:
                return {"name": name, "waiting": list(self._waiting(now()))}
            stored, certificate = await self._newcomer(plan, cas, by)
            step = rotation.begin(cas, certificate, stored, now())
            await self._take(step, "rotation", Control(name), by=by, act="begin")  # what was decided about the last
        return await self.shown(name)

    async def _newcomer(self, plan: CaPlan, cas: list[Known], by: str) -> tuple[str, Certificate]:
        """The key and certificate that come next: what was installed, what a crash left, or new ones."""
        taken = {each.key for each in cas}
        for stored in self._keys.generations(plan.name):
            found = self._keys.certificate(stored)
            if stored not in taken and found is not None:
                return stored, found
        if any(each.state in (State.NEXT, State.PUBLISHED) for each in cas):
            raise UsageError(f"{plan.name} is being rotated already", next_step="handsel ca rotate status")
        stored = self._keys.following(plan.name)
        # Durable before the root's key is used.
        await self._store.commit((entry("rotation", now(), name=plan.name, act="intend", key=stored, by=by),))
        make = self._keys.make_issuing
        return stored, await asyncio.to_thread(make, self._around.trust_domain, plan, stored, now=now())

    async def advance(self, name: str) -> Step:
        """Take the next step of a CA's rotation, if there is one and nothing holds it up."""
        async with self._moving:
            cas = await self._of(name)
            step = rotation.advance(cas, await self._facts(name, cas), await self._tables.control(name), now())
            if step.changes:
                await self._take(step, "rotation", by="server", act="step")
            return step

    async def undo(self, name: str, *, by: str) -> dict[str, Any]:
        """Back to the CA before, and no step further until somebody says so. Raises `Refused`."""
        async with self._moving:
            step = rotation.undo(await self._of(name), now())
            control = replace(await self._tables.control(name), paused=True, override="", by=by)
            await self._take(step, "rotation", control, by=by, act="undo")
        return await self.shown(name)

    async def taint(self, name: str, *, by: str, reason: str) -> dict[str, Any]:
        """The CA before was compromised: drop it without waiting. Raises `Refused`."""
        async with self._moving:
            await self._take(rotation.taint(await self._of(name), now()), "rotation", by=by, act="taint", reason=reason)
        return await self.shown(name)

    async def control(self, name: str, *, by: str, paused: bool | None = None, override: str = "") -> dict[str, Any]:
        """Pause, go on, or go on without those who do not answer, whose names are written down with the reason."""
        self._plan(name)
        async with self._moving:
            before = await self._tables.control(name)
            after = replace(before, paused=before.paused if paused is None else paused, override=override, by=by)
            missing = ",".join(self._waiting(now())) if override else ""
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
        return {
            "name": name,
            "paused": control.paused,
            "override": control.override,
            "heldUpBy": list(step.held_up_by),
            "authorities": [
                {
                    "keyId": each.key_id, "state": str(each.state), "since": each.since.isoformat(),
                    "notAfter": each.certificate.not_after.isoformat(),
                }
                for each in cas
            ],
        }  # fmt: skip

    async def all_shown(self) -> list[dict[str, Any]]:
        """The same of every CA."""
        return [await self.shown(name) for name in self._around.issuers().by_name]

    async def _of(self, name: str) -> list[Known]:
        return [each for each in await self._tables.all() if each.name == name and not each.is_root]

    async def _facts(self, name: str, cas: list[Known]) -> Facts:
        leaving = next((each for each in cas if each.state in (State.RETIRING, State.TAINTED)), None)
        leaves = await self._tables.leaves(name, leaving.since, now()) if leaving else 0
        return Facts(tuple(self._waiting(now())), leaves)

    def _waiting(self, moment: datetime) -> list[str]:
        """The holders with a living certificate that do not verify with the roots of now.

        One whose certificate has ended does not count: it comes back by proving again who it is.
        """
        wanted = fingerprint_of(self._around.issuers().roots)
        return [
            f"{host}/{service}"
            for host, reports in sorted(self._around.places().items())
            for service, each in sorted(reports.items())
            if each.certificate_not_after is not None and each.certificate_not_after > moment and each.bundle != wanted
        ]

    async def _take(self, step: Step, kind: str, *also: Control, by: str, act: str, reason: str = "") -> None:
        """Write a step down; then sign as it says."""
        moment = now()
        lines = [
            entry(
                kind, moment, name=each.name, act=act, key_id=each.key_id, state=str(each.state), by=by, reason=reason
            )
            for each in step.changes
        ]
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

    def _plan(self, name: str) -> CaPlan:
        for plan in hierarchy.plans(self._around.issuing()):
            if plan.name == name:
                return plan
        raise UsageError(f"there is no issuing CA {name[:63]!r}")
