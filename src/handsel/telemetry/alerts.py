"""What deserves an alert: told once, again when it lasts, and when it is over. The clock is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from handsel.model.telemetry import AlertKind

AGAIN_AFTER = timedelta(hours=1)
_MOST_PAIRS = 1000


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now. Kind and `subject` say which it is; the words and details may change meanwhile.

    `hold`: how long it must last before anybody is told, since proxies mend some things by themselves.
    """

    kind: AlertKind
    subject: str
    summary: str
    details: Mapping[str, str] = field(default_factory=dict)
    hold: timedelta = timedelta()

    @property
    def key(self) -> tuple[AlertKind, str]:
        return self.kind, self.subject


class Status(StrEnum):
    """Whether a condition holds or is over."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Notice:
    """What somebody is told: a condition that holds `since` then, or is over. `again`: it was told before."""

    condition: Condition
    status: Status
    since: datetime
    at: datetime
    again: bool = False

    def to_json(self, trust_domain: str) -> dict[str, Any]:
        """The body of a webhook, and the standard input of a command."""
        return {
            "apiVersion": "handsel/v1",
            "kind": "Alert",
            "alert": str(self.condition.kind),
            "status": str(self.status),
            "trust_domain": trust_domain,
            "subject": self.condition.subject,
            "summary": self.condition.summary,
            "since": self.since.isoformat(timespec="milliseconds"),
            "time": self.at.isoformat(timespec="milliseconds"),
            "again": self.again,
            "details": dict(self.condition.details),
        }


@dataclass
class _Standing:
    condition: Condition
    since: datetime
    told: datetime | None = None


class Alerts:
    """What is wrong, from one look to the next."""

    def __init__(self, again_after: timedelta = AGAIN_AFTER) -> None:
        self._again_after = again_after
        self._standing: dict[tuple[AlertKind, str], _Standing] = {}

    @property
    def active(self) -> tuple[Condition, ...]:
        """What was told and is not over."""
        return tuple(each.condition for each in self._standing.values() if each.told is not None)

    def look(self, conditions: Iterable[Condition], now: datetime) -> tuple[Notice, ...]:
        """What is to be told after this look, at which exactly these conditions hold."""
        found = {each.key: each for each in conditions}
        notices = []
        for key in [key for key in self._standing if key not in found]:
            over = self._standing.pop(key)
            if over.told is not None:
                notices.append(Notice(over.condition, Status.RESOLVED, over.since, now))
        for key, condition in found.items():
            standing = self._standing.setdefault(key, _Standing(condition, now))
            standing.condition = condition
            if self._is_due(standing, now):
                again = standing.told is not None
                standing.told = now
                notices.append(Notice(condition, Status.FIRING, standing.since, now, again))
        return tuple(notices)

    def _is_due(self, standing: _Standing, now: datetime) -> bool:
        if standing.told is None:
            return now - standing.since >= standing.condition.hold
        return now - standing.told >= self._again_after


class Plaintext:
    """Connections without TLS that permissive ports took: who called whom, how often, and when last."""

    def __init__(self, quiet: timedelta = timedelta(minutes=15)) -> None:
        self._quiet = quiet
        self._seen: dict[tuple[str, str], tuple[int, datetime]] = {}

    def note(self, service: str, caller: str, count: int, now: datetime) -> None:
        """So many more were seen. Of very many callers, only the first are kept."""
        pair = (caller, service)
        if pair in self._seen or len(self._seen) < _MOST_PAIRS:
            before, _ = self._seen.get(pair, (0, now))
            self._seen[pair] = (before + count, now)

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """All that was seen, by caller and service."""
        return {pair: count for pair, (count, _) in self._seen.items()}

    def conditions(self, now: datetime) -> list[Condition]:
        """One for each pair, until nothing was seen of it for a while."""
        return [
            Condition(
                AlertKind.PLAINTEXT, f"{caller} to {service}",
                f"{service} took {count} connections in plaintext from {caller}",
                {"service": service, "from": caller, "count": str(count)},
            )
            for (caller, service), (count, last) in self._seen.items()
            if now - last < self._quiet
        ]  # fmt: skip
