"""Every proxy of the mesh: whether it has what it should have, and what it refused. The clock is handed in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Workload = tuple[str, str]
"""Host and service."""


@dataclass(frozen=True)
class Refusal:
    """A NACK: the resources, the proxy's words, and where in a file the resources come from."""

    names: tuple[str, ...]
    reason: str
    origin: str


@dataclass(frozen=True)
class ProxySeen:
    """One proxy. `version` is of the configuration that is published for it; empty: none is yet.

    `in_sync` is what its agent said last; `connected`: whether that agent follows this server now.
    """

    service: str
    agent: str
    host: str
    version: str
    in_sync: bool
    connected: bool
    refusals: tuple[Refusal, ...] = ()


@dataclass
class Staleness:
    """Since when each proxy is out of sync, as far as this server has seen it."""

    since: dict[Workload, datetime] = field(default_factory=dict)

    def look(self, in_sync: Mapping[Workload, bool], now: datetime) -> None:
        """How they are now."""
        stale = {workload for workload, synced in in_sync.items() if not synced}
        self.since = {workload: self.since.get(workload, now) for workload in stale}


def in_one_line(text: str) -> str:
    """A proxy's words on one line, without what would move a terminal's cursor."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def to_json(proxies: Collection[ProxySeen], stale: Staleness) -> list[dict[str, Any]]:
    """The proxies as a server answers them."""
    return [_one(each, stale.since.get((each.agent, each.service))) for each in proxies]


def _one(proxy: ProxySeen, since: datetime | None) -> dict[str, Any]:
    return {
        "service": proxy.service,
        "agent": proxy.agent,
        "host": proxy.host,
        "version": proxy.version,
        "in_sync": proxy.in_sync,
        "connected": proxy.connected,
        "stale_since": since.isoformat(timespec="seconds") if since and not proxy.in_sync else None,
        "refused": [{"names": list(r.names), "reason": r.reason, "origin": r.origin} for r in proxy.refusals],
    }
