"""What is known of each secret of one socket: who takes, refuses, awaits it. The clock is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.xds.resources import SECRET
from handsel.xds.snapshot import Snapshot
from handsel.xds.subscriber import Rejected, Subscriber

# Names that nobody is subscribed to any more are forgotten when there are more than these.
_MOST_NAMES = 1000


@dataclass(frozen=True)
class SecretFacts:
    """One secret, under the name that clients ask for.

    `version` is empty while it is not there; `current` counts the subscribers that have acknowledged that version;
    `waiting_since` is when it was first asked for in vain.
    """

    name: str
    version: str
    subscribers: int
    current: int
    last_ack: datetime | None
    last_nack: datetime | None
    nack_text: str
    waiting_since: datetime | None

    def is_warming(self, now: datetime, patience: timedelta) -> bool:
        """Whether somebody waits for it for longer than `patience`: a listener or cluster of theirs may be warming."""
        return self.waiting_since is not None and self.subscribers > 0 and now - self.waiting_since > patience


@dataclass(slots=True)
class _Seen:
    last_ack: datetime | None = None
    last_nack: datetime | None = None
    nack_text: str = ""
    waiting_since: datetime | None = None


@dataclass
class Ledger:
    """What has happened to each secret, by name."""

    _seen: dict[str, _Seen] = field(default_factory=dict)

    def asked(self, name: str, now: datetime, *, there: bool) -> None:
        """A client has asked for it; `there` says whether it can be had."""
        seen = self._of(name)
        if not there and seen.waiting_since is None:
            seen.waiting_since = now

    def published(self, snapshot: Snapshot, now: datetime) -> None:
        """From now on this is served."""
        for name, seen in self._seen.items():
            if snapshot.get(SECRET, name) is not None:
                seen.waiting_since = None
            elif seen.waiting_since is None:
                seen.waiting_since = now

    def acknowledged(self, names: Iterable[str], now: datetime) -> None:
        """A client has taken these."""
        for name in names:
            self._of(name).last_ack = now

    def rejected(self, rejection: Rejected, now: datetime) -> None:
        """A client has refused some."""
        for name in rejection.names:
            seen = self._of(name)
            seen.last_nack, seen.nack_text = now, rejection.reason

    def facts(self, snapshot: Snapshot, subscribers: Iterable[Subscriber]) -> tuple[SecretFacts, ...]:
        """All that was ever asked for here, with those who are subscribed to it now."""
        asked: dict[str, list[Subscriber]] = {}
        for subscriber in subscribers:
            for name in subscriber.names(SECRET):
                asked.setdefault(name, []).append(subscriber)
        self._forget(asked)
        return tuple(self._facts(name, seen, snapshot, asked.get(name, ())) for name, seen in self._seen.items())

    def _facts(self, name: str, seen: _Seen, snapshot: Snapshot, subscribers: Iterable[Subscriber]) -> SecretFacts:
        resource = snapshot.get(SECRET, name)
        version = resource.version if resource else ""
        having = [subscriber.has(SECRET, name, version) for subscriber in subscribers]
        waiting = None if resource else seen.waiting_since
        return SecretFacts(
            name, version, len(having), sum(having), seen.last_ack, seen.last_nack, seen.nack_text, waiting
        )

    def _of(self, name: str) -> _Seen:
        return self._seen.setdefault(name, _Seen())

    def _forget(self, asked: Mapping[str, object]) -> None:
        if len(self._seen) > _MOST_NAMES:
            self._seen = {name: seen for name, seen in self._seen.items() if name in asked}
