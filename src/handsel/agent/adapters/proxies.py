"""The Envoys of this host: found again, started, restarted when they end, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import structlog

from handsel.agent import renewal
from handsel.agent.layout import Layout, WorkloadLayout
from handsel.agent.model import HostSettings
from handsel.envoy.adapters import admin, process
from handsel.envoy.adapters.process import ProcessRecord
from handsel.envoy.bootstrap import bootstrap
from handsel.envoy.options import Options
from handsel.errors import ProtocolError

_log = structlog.get_logger("handsel.agent")
# An Envoy that ran for so long has not failed at its start: its next start is not delayed.
_STEADY_SECONDS = 5.0
_SHORTEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 5.0
_USUAL = Options()
LARGEST_ACCESS_LOG = 64 << 20
"""Bytes of an access log before it is put aside; one older log is kept."""


class Proxies:
    """The Envoys of a host, by workload. `on_end` is called when one of them ends; `drain`: see `HostSettings`.

    `binary` None: none is run.
    """

    def __init__(
        self, binary: Path | None, layout: Layout, on_end: Callable[[], None], drain: timedelta, options: Options
    ) -> None:
        self._binary = binary
        self._layout = layout
        self._drain = drain
        self._options = options
        self._on_end = on_end
        self.by_name: dict[str, Proxy] = {}

    def watch_over(self, names: Iterable[str]) -> None:
        """An Envoy for each of these: started when it does not run and is not waiting after a failure."""
        if self._binary is None:
            return
        for name in names:
            if name not in self.by_name:
                self.by_name[name] = Proxy(
                    self._binary, self._layout.of(name), self._on_end, self._drain, self._options
                )  # fmt: skip
            self.by_name[name].watch_over()

    async def limit_logs(self) -> None:
        for proxy in list(self.by_name.values()):
            await proxy.limit_log()

    def seconds_to_wait(self) -> float:
        """Until the next one may be started again after a failure."""
        return min((each.seconds_to_wait for each in self.by_name.values()), default=_LONGEST_WAIT_SECONDS)

    async def take_away(self, name: str) -> None:
        """End a workload's Envoy at once."""
        if name in self.by_name:
            await self.by_name.pop(name).drain(0)

    async def drain(self, seconds: float) -> None:
        """End all of them, side by side."""
        await asyncio.gather(*(proxy.drain(seconds) for proxy in self.by_name.values()))

    def leave(self) -> None:
        """Watch no more; they run on."""
        for proxy in self.by_name.values():
            proxy.leave()


class Proxy:
    """One workload's Envoy. `watch_over` is called again and again; it starts what does not run.

    `on_end` is called when it ends.
    """

    def __init__(
        self, binary: Path, place: WorkloadLayout, on_end: Callable[[], None] = lambda: None,
        drain: timedelta = HostSettings.drain, options: Options = _USUAL,
    ) -> None:  # fmt: skip
        self._binary = binary
        self._drain = drain
        self._options = options
        self._place = place
        self._on_end = on_end
        self._watched: int | None = None  # a descriptor of the process, pidfd_open(2)
        self._failures = 0
        self._started_at = 0.0
        self._not_before = 0.0
        self.restarts = 0
        self.record = self._adopt()
        self.adopted = self.record is not None
        self._watch()

    @property
    def seconds_to_wait(self) -> float:
        """Until it may be started again after a failure."""
        if self.record is not None:
            return _LONGEST_WAIT_SECONDS
        return min(max(self._not_before - time.monotonic(), _SHORTEST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)

    def watch_over(self) -> None:
        """Start the Envoy when it does not run and is not waiting after a failure."""
        now = time.monotonic()
        if self.record is not None and self.record.runs:
            return
        if self.record is not None:
            self._note_end(now)
        if now < self._not_before:
            return
        self._start(now)

    async def limit_log(self, largest: int = LARGEST_ACCESS_LOG) -> bool:
        """Put a large access log aside as `access.log.1`; Envoy begins a new one. Returns whether it was large."""
        log = self._place.access_log
        if not log.exists() or log.stat().st_size <= largest:
            return False
        log.replace(log.with_suffix(".log.1"))
        # An Envoy that is not there now opens the new file when it starts.
        with contextlib.suppress(OSError, ProtocolError):
            await admin.post(self._place.sockets.admin, "/reopen_logs")
        return True

    async def drain(self, seconds: float) -> None:
        """End it after its requests under way."""
        self.leave()
        if self.record is not None:
            await process.drain_and_end(self.record, self._place.sockets.admin, drain_seconds=seconds)
        self._place.envoy_record.unlink(missing_ok=True)
        self._place.sockets.admin.unlink(missing_ok=True)

    def leave(self) -> None:
        """Hear no more of its end."""
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            os.close(self._watched)
            self._watched = None

    def _watch(self) -> None:
        self.leave()
        if self.record is None:
            return
        try:
            self._watched = os.pidfd_open(self.record.pid)
        except OSError:  # it has ended just now: whoever looks next finds that out
            return
        asyncio.get_running_loop().add_reader(self._watched, self._heard)

    def _heard(self) -> None:
        self.leave()
        self._on_end()

    def _adopt(self) -> ProcessRecord | None:
        """The Envoy that the last agent left running, if its bootstrap is still what we would write."""
        record = ProcessRecord.load(self._place.envoy_record)
        if record is None or not record.runs:
            return None
        try:
            fits = json.loads(self._place.envoy_config.read_text()) == self._bootstrap()
        except (OSError, ValueError):
            fits = False
        if fits and _answers(self._place.sockets.admin):
            return record
        record.signal(signal.SIGKILL)
        return None

    def _note_end(self, now: float) -> None:
        self.record = None
        self.restarts += 1
        self._failures = 0 if now - self._started_at > _STEADY_SECONDS else self._failures + 1
        self._not_before = now + (renewal.backoff(self._failures).total_seconds() if self._failures > 1 else 0)
        _log.warning("envoy ended", service=self._place.service, failures=self._failures)

    def _start(self, now: float) -> None:
        self._started_at = now
        self._place.sockets.admin.unlink(missing_ok=True)
        self.record = process.start(
            self._binary,
            self._bootstrap(),
            config=self._place.envoy_config,
            log=self._place.envoy_log,
            record=self._place.envoy_record,
            drain_seconds=max(1, round(self._drain.total_seconds())),
            options=self._options,
        )
        self._watch()
        _log.info("envoy started", service=self._place.service, pid=self.record.pid)

    def _bootstrap(self) -> dict[str, object]:
        return bootstrap(self._place.service, self._place.sockets)


def _answers(admin: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(admin))
        except OSError:
            return False
    return True
