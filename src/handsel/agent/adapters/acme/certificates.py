"""The certificates of ACME CAs on one host: ordered, renewed when their CA wants it, handed to the holdings.

What is held is served whatever becomes of the CA; what goes wrong is said, and tried again ever more seldom.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from handsel.agent import acme
from handsel.agent.acme import Held, Step
from handsel.agent.adapters.acme.orders import OrderFailed, Orders, OwnServer, Work
from handsel.agent.adapters.acme.records import AcmeRecords
from handsel.agent.layout import Layout
from handsel.agent.model import Holdings, KeyPair
from handsel.errors import Bug, HandselError, NotAuthorised, Refused
from handsel.model.acme_client import AcmeClient

_log = structlog.get_logger("handsel.agent")
_LONGEST_WAIT_SECONDS = 60.0
_AT_ONCE = 4
"""Orders; threads of their own, so that a CA that hangs holds up nothing else."""


@dataclass
class Standing:
    """How one workload's certificate is. `again`: by the monotonic clock, not before."""

    wish: AcmeClient
    records: AcmeRecords
    held: Held | None
    problem: str = ""
    next_step: str = ""
    failures: int = 0
    again: float = 0.0
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def failed(self, error: HandselError, asked: timedelta | None) -> None:
        """Note it, and when to try again."""
        self.problem, self.next_step = str(error), error.next_step
        self.failures += 1
        refused = isinstance(error, Refused | NotAuthorised)
        self.again = time.monotonic() + acme.wait_after(self.failures, refused=refused, asked=asked).total_seconds()

    @property
    def work(self) -> Work:
        return Work(self.wish, self.records, self.held)

    def succeeded(self) -> None:
        self.problem, self.next_step, self.failures, self.again = "", "", 0, 0.0


class AcmeCertificates:
    """Keeps them.

    `install` puts the pair of a service into the holdings (None: takes it out); `own_server` says where the server of
    this mesh is now.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        now: Callable[[], datetime],
        install: Callable[[str, KeyPair | None], None],
        own_server: Callable[[], OwnServer],
    ) -> None:
        self._layout, self._now, self._install = layout, now, install
        self.standings: dict[str, Standing] = {}
        self._woken = asyncio.Event()
        self._ending = threading.Event()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="acme")
        self._orders = Orders(now, own_server, self._ending)

    def restore(self, holdings: Holdings) -> Holdings:
        """The holdings with what lies in the agent's folder."""
        for name, workload in holdings.workloads.items():
            held = self._records(name).held() if workload.assigned.acme else None
            if held is not None:
                holdings = holdings.with_workload(replace(workload, acme=held.pair))
        return holdings

    def wake(self) -> None:
        """Something has changed."""
        self._woken.set()

    def end(self) -> None:
        """The agent ends: what is under way breaks off within a few seconds."""
        self._ending.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def keep(self, holdings: Callable[[], Holdings]) -> None:
        """For ever: order and renew."""
        try:
            while True:
                self._woken.clear()
                self._look(holdings())
                # Not `wait_for`, which loses a cancellation that comes together with what it waits for (Python 3.11).
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience()):
                        await self._woken.wait()
        finally:
            for standing in self.standings.values():
                if standing.task is not None:
                    standing.task.cancel()

    def shown(self, service: str) -> dict[str, Any] | None:
        """For people: the certificate, when it is renewed and by whose word, and what is wrong."""
        standing = self.standings.get(service)
        if standing is None:
            return None
        held = standing.held
        return {
            "directory": standing.wish.directory,
            "names": list(standing.wish.names),
            "serial": held.pair.leaf.serial if held else None,
            "not_after": held.pair.leaf.not_after.isoformat() if held else None,
            "renew_at": held.renew_at.isoformat() if held else None,
            "asked_again_at": held.ask_at.isoformat() if held and held.said_by_ca else None,
            "renewal": ("ari" if held.said_by_ca else "two thirds of life") if held else None,
            "explanation": held.explanation if held else "",
            "problem": standing.problem,
            "next_step": standing.next_step,
        }

    def _look(self, holdings: Holdings) -> None:
        wishes = {name: each.assigned.acme for name, each in holdings.workloads.items()}
        for gone in [name for name in self.standings if wishes.get(name) is None]:
            self._let_go(gone, still_here=gone in wishes)
        for name, wish in wishes.items():
            if wish is None:
                continue
            standing = self.standings.get(name)
            if standing is None or (standing.wish != wish and standing.task is None):
                records = self._records(name)
                standing = self.standings[name] = Standing(wish, records, records.held())
                if standing.held is not None and holdings.workloads[name].acme is None:
                    self._install(name, standing.held.pair)
            step = acme.next_step(standing.held, wish, self._now())
            if standing.task is None and step is not Step.NOTHING and time.monotonic() >= standing.again:
                standing.task = asyncio.create_task(self._carry_out(name, standing, step))

    def _let_go(self, name: str, *, still_here: bool) -> None:
        standing = self.standings[name]
        if standing.task is not None:
            return  # its end wakes us
        del self.standings[name]
        standing.records.forget()
        if still_here:
            self._install(name, None)
        else:  # what was written by an order that was under way
            shutil.rmtree(self._layout.of(name).folder, ignore_errors=True)

    async def _carry_out(self, name: str, standing: Standing, step: Step) -> None:
        before = standing.problem
        try:
            held = await asyncio.get_running_loop().run_in_executor(self._threads, self._orders.do, standing.work, step)
            standing.succeeded()
            await self._take(name, standing, held)
        except OrderFailed as failed:
            standing.failed(failed.error, failed.asked)
            if failed.held is not None:
                await self._take(name, standing, failed.held)
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not be made again and again at once
            _log.exception("an ACME order broke off", service=name)
            standing.failed(Bug(f"{type(error).__name__}: {error}"), None)
        finally:
            if standing.problem != before:
                _log.warning("the ACME certificate", service=name, problem=standing.problem or "none any more")
            standing.task = None
            self.wake()

    async def _take(self, name: str, standing: Standing, held: Held) -> None:
        """What is held now, handed on when it is another certificate."""
        is_new = standing.held is None or standing.held.pair != held.pair
        standing.held = held
        if is_new:
            # A CA whose clock is a little before ours: until then the old one serves.
            await asyncio.sleep((held.pair.leaf.not_before - self._now()).total_seconds())
            self._install(name, held.pair)
            _log.info("a certificate of an ACME CA", service=name, serial=held.pair.leaf.serial)

    def _records(self, name: str) -> AcmeRecords:
        return AcmeRecords(self._layout.of(name).folder / "acme")

    def _patience(self) -> float:
        now, waits = self._now(), [_LONGEST_WAIT_SECONDS]
        for standing in self.standings.values():
            if standing.task is not None:
                continue
            until = 0.0 if standing.held is None else (acme.next_moment(standing.held) - now).total_seconds()
            waits.append(max(until, standing.again - time.monotonic()))
        return max(0.05, min(waits))
