"""Looking into access logs for who called without TLS, when a proxy counted such a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from handsel.agent.layout import Layout
from handsel.agent.plaintext import PlaintextSeen
from handsel.envoy.stats import ProxyCounts
from handsel.link.report import Edge

_LARGEST_READ = 4 << 20


class PlaintextWatch:
    """Of all workloads of a host."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"  # logs go on from one agent to the next
        self._seen: dict[str, PlaintextSeen] = {}

    async def look(self, counted: Mapping[str, ProxyCounts]) -> tuple[Edge, ...]:
        """Who has called whom without TLS so far."""
        for name, counts in counted.items():
            seen = self._seen.setdefault(name, PlaintextSeen(self._since))
            if seen.wants_log(counts.plaintext):
                lines = await asyncio.to_thread(_newest, self._layout.of(name).access_log)
                seen.take(counts.plaintext, lines)
        return tuple(edge for name, seen in sorted(self._seen.items()) for edge in seen.edges(name))


def _newest(log: Path) -> list[str]:
    """The last lines of a log, some megabytes at most."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LARGEST_READ))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
