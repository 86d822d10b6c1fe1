"""What the Envoys of this host have counted, asked of their admin sockets: bounded in time and size, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from handsel.agent.layout import Layout
from handsel.envoy import stats
from handsel.envoy.adapters import admin
from handsel.envoy.stats import ProxyCounts
from handsel.errors import ProtocolError

_TIMEOUT_SECONDS = 2.0
_SIDE_BY_SIDE = 16
# Who asks twice in such a time, a scrape and a report, is told the same.
_FRESH_SECONDS = 0.5


class Statistics:
    """Of the workloads that `names` names. One that does not answer is left out."""

    def __init__(self, layout: Layout, names: Callable[[], Iterable[str]]) -> None:
        self._layout = layout
        self._names = names
        self._asking = asyncio.Lock()
        self._slots = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._last: dict[str, ProxyCounts] = {}
        self._asked = -_FRESH_SECONDS

    async def gather(self) -> dict[str, ProxyCounts]:
        """The counts of each proxy that answers in time, by workload."""
        async with self._asking:
            if time.monotonic() - self._asked >= _FRESH_SECONDS:
                names = list(self._names())
                found = await asyncio.gather(*(self._ask(self._layout.of(name).sockets.admin) for name in names))
                self._last = {name: counts for name, counts in zip(names, found, strict=True) if counts is not None}
                self._asked = time.monotonic()
            return self._last

    async def _ask(self, socket: Path) -> ProxyCounts | None:
        async with self._slots:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    answer = await admin.get(socket, stats.TARGET, most=stats.LARGEST_ANSWER)
            except (OSError, ProtocolError, ValueError):  # it ends, starts, or hangs: `supervise` sees to that
                return None
        return stats.parse(answer.decode(errors="replace"))
