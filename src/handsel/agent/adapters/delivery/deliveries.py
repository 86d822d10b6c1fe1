"""The deliveries of one host: written when what they are made of has changed, told to the program, taken away again.

A delivery that the server or somebody on this host asks for, has a `Standing`: what is wrong is there, and is tried
again. Nothing is written whose content is there already: the link's version is named by the content's mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from handsel.agent import delivery as made
from handsel.agent import renewal
from handsel.agent.adapters.delivery.folder import DeliveryFolder
from handsel.agent.adapters.delivery.records import DeliveryRecords, Record, read_wish
from handsel.agent.adapters.delivery.reload import reload
from handsel.agent.delivery import Material, Wanted
from handsel.agent.model import Holdings
from handsel.errors import HandselError, StateError, UsageError

_log = structlog.get_logger("handsel.agent")
_LOOK_SECONDS = 5.0
"""So often it is looked whether the files are still there."""


@dataclass
class Standing:
    """How one delivery is.

    `mark`: of the version that lies there; `tried`: of the last one that was to. `again`: by the monotonic clock, not
    before.
    """

    wanted: Wanted
    mark: str = ""
    tried: str = ""
    problem: str = ""
    next_step: str = ""
    reload_problem: str = ""
    failures: int = 0
    again: float = 0.0

    def failed(self, error: HandselError, *, of_reload: bool) -> None:
        """Note it, and when to try again."""
        if of_reload:
            self.reload_problem = str(error)
        else:
            self.problem = str(error)
        self.next_step = error.next_step
        self.failures += 1
        self.again = time.monotonic() + renewal.backoff(self.failures).total_seconds()

    def line(self) -> str:
        """What is wrong, for people; empty when nothing is."""
        if self.problem:
            return f"not delivered: {self.problem}"
        return f"delivered, but not reloaded: {self.reload_problem}" if self.reload_problem else ""


class Deliveries:
    """Keeps them. `place`: the agent's folder for it; `allow_commands`: also those that the server asks for."""

    def __init__(self, place: Path, *, allow_commands: bool) -> None:
        self._records = DeliveryRecords(place)
        self._allow_commands = allow_commands
        self._key = self._records.mark_key()
        self._known, self._local, self.problems = self._records.load()
        self.standings: dict[str, Standing] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()

    def wake(self) -> None:
        """Something has changed."""
        self._woken.set()

    async def keep(self, holdings: Callable[[], Holdings]) -> None:
        """For ever: make this host as it is wanted."""
        try:
            while True:
                self._woken.clear()
                async with self._lock:
                    await self._bring(holdings())
                # `wait_for` of Python 3.11 may swallow that we are cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience()):
                        await self._woken.wait()
        finally:
            for task in self._telling.values():
                task.cancel()

    async def ask(self, content: Any, holdings: Holdings, *, dry_run: bool) -> Standing:
        """Keep what somebody on this host wants, written when this returns. Raises `UsageError` when it cannot be."""
        wish = read_wish(content)
        async with self._lock:
            self._check(wish, holdings)
            await asyncio.to_thread(DeliveryFolder(Path(wish.delivery.folder)).check)
            if dry_run:
                return Standing(wish)
            is_new = wish.id not in self._local
            self._records.save_wish(wish.id, content)
            self._local[wish.id] = wish
            self.standings.pop(wish.id, None)
            await self._bring(holdings)
            standing = self.standings[wish.id]
            if is_new and standing.tried and not standing.mark:  # what can never be is not kept
                self._let_go(wish.id)
                raise StateError(standing.problem, next_step=standing.next_step)
            return standing

    async def withdraw(self, which: str, holdings: Holdings, *, dry_run: bool) -> Wanted:
        """Let one go that was asked for here, by its id, name or folder. Raises `UsageError` for others."""
        async with self._lock:
            found = [
                each for each in self._local.values() if which in (each.id, each.delivery.name, each.delivery.folder)
            ]
            if len(found) != 1:
                known = ", ".join(self._local) or "none"
                raise UsageError(f"{len(found) or 'no'} deliveries of this host are called {which!r}; known: {known}")
            if not dry_run:
                self._let_go(found[0].id)
                await self._bring(holdings)
            return found[0]

    def is_gone(self, name: str) -> bool:
        """Whether nothing of a delivery is left here."""
        return name not in self._known and name not in self.standings

    def _let_go(self, name: str) -> None:
        """It is not asked for here any more. Its files go with the next `_bring`."""
        del self._local[name]
        self.standings.pop(name, None)
        if name in self._known:
            self._records.drop_wish(name)
        else:
            self._records.forget(name)

    def _check(self, wish: Wanted, holdings: Holdings) -> None:
        if wish.service not in holdings.workloads:
            known = ", ".join(holdings.workloads) or "none"
            raise UsageError(f"there is no service {wish.service!r} on this host (known: {known})")
        said = {each.id: each for each in made.wanted(holdings, {})}
        if wish.id in said:
            raise UsageError(
                f"{wish.id} is a delivery of the mesh file already", next_step="choose another name: --name"
            )
        there = self._local.get(wish.id)
        if there is not None and there.delivery.folder != wish.delivery.folder:
            raise UsageError(f"{wish.id} is kept in {there.delivery.folder}", next_step="choose another name: --name")
        others = {**self._local, wish.id: wish}
        clash = made.clashing(made.wanted(holdings, others)).get(wish.id)
        if clash:
            raise UsageError(f"{wish.delivery.folder} is of the delivery {clash}, or within its folder")

    async def _bring(self, holdings: Holdings) -> None:
        wishes = made.wanted(holdings, self._local)
        clashes = made.clashing(wishes)
        for gone in self._known.keys() - {each.id for each in wishes}:
            await self._take_away(gone)
        for wish in wishes:
            standing = self.standings.setdefault(wish.id, Standing(wish))
            if standing.wanted != wish:
                standing = self.standings[wish.id] = Standing(wish)
            try:
                if wish.id in clashes:
                    raise StateError(
                        f"{wish.delivery.folder} is of the delivery {clashes[wish.id]}, or within its folder"
                    )
                await self._deliver(standing, holdings)
            except HandselError as error:
                self._note(standing, error, of_reload=False)
            self._tell_if_due(standing)

    async def _deliver(self, standing: Standing, holdings: Holdings) -> None:
        """Write it unless it is there. Raises what keeps it from being."""
        wish = standing.wanted
        workload = holdings.workloads.get(wish.service)
        lacking = made.lacks(wish.delivery, workload, holdings)
        if lacking or workload is None:
            raise StateError(lacking)
        pair, owner = workload.key_pair, workload.owner
        password = self._records.password(wish.id, wish.delivery)
        material = Material(pair, holdings.roots, holdings.crls, password, owner, workload.acme)
        mark = made.mark(self._key, wish.delivery, material)
        if standing.problem and mark == standing.tried and time.monotonic() < standing.again:
            return
        standing.tried = mark
        await asyncio.to_thread(self._write, wish, mark, material)
        if standing.problem or standing.mark != mark:
            standing.problem, standing.failures, standing.again = "", 0, 0.0
        standing.mark = mark

    def _write(self, wish: Wanted, mark: str, material: Material) -> None:
        folder, known = DeliveryFolder(Path(wish.delivery.folder)), self._known.get(wish.id)
        there = folder.mark()
        # Of the first version nobody is told: nobody can have read what was not there.
        told = mark if not there else known.told if known else ""
        if there != mark or not folder.is_as(made.places(wish.delivery, material)):
            folder.swap(mark, made.files(wish.delivery, material, datetime.now(UTC)))
            _log.info("delivered", delivery=wish.id, folder=wish.delivery.folder)
        self._remember(wish, told)
        folder.prune()

    def _remember(self, wish: Wanted, told: str) -> None:
        before, now = self._known.get(wish.id), Record(wish.delivery.folder, told)
        if before == now:
            return
        self._records.save_record(wish.id, now)
        self._known[wish.id] = now
        if before is not None and before.folder != now.folder:
            DeliveryFolder(Path(before.folder)).remove()

    def _tell_if_due(self, standing: Standing) -> None:
        wish, known = standing.wanted, self._known.get(standing.wanted.id)
        if known is None or standing.problem or known.told == standing.mark or wish.id in self._telling:
            return
        if not wish.delivery.reload.is_wanted:
            self._remember(wish, standing.mark)
        elif time.monotonic() >= standing.again:
            self._telling[wish.id] = asyncio.create_task(self._tell(standing, standing.mark))

    async def _tell(self, standing: Standing, mark: str) -> None:
        wish = standing.wanted
        try:
            await reload(wish.delivery.reload, may_run=wish.local or self._allow_commands)
            if self.standings.get(wish.id) is standing:
                self._remember(wish, mark)
            standing.reload_problem, standing.failures, standing.again = "", 0, 0.0
        except HandselError as error:
            self._note(standing, error, of_reload=True)
        finally:
            del self._telling[wish.id]
            self.wake()

    async def _take_away(self, name: str) -> None:
        """One that nobody wants any more: its files, then what is remembered of it."""
        try:
            await asyncio.to_thread(DeliveryFolder(Path(self._known[name].folder)).remove)
            self._records.forget(name)
        except HandselError as error:
            _log.error("files that nobody wants any more are still there", delivery=name, problem=str(error))
            return
        _log.info("taken away", delivery=name, folder=self._known[name].folder)
        del self._known[name]
        self.standings.pop(name, None)

    def _note(self, standing: Standing, error: HandselError, *, of_reload: bool) -> None:
        before = standing.line()
        standing.failed(error, of_reload=of_reload)
        if standing.line() != before:
            _log.warning("a delivery has a problem", delivery=standing.wanted.id, problem=standing.line())

    def _patience(self) -> float:
        waiting = [each.again - time.monotonic() for each in self.standings.values() if each.line()]
        return max(0.05, min([_LOOK_SECONDS, *waiting]))
