"""Searching the directory: what was issued, to whom, and what ends next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from handsel.errors import UsageError

MOST = 1000
"""Certificates that one answer has at most; go on with `after`."""


class State(StrEnum):
    """How a certificate stands at a moment."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Wanted:
    """What is searched for; what is left out matches all. `name` may have a `*` for any text.

    `after` is the serial number that the last answer ended with.
    """

    serial: str | None = None
    name: str | None = None
    identity: str | None = None
    fingerprint: str | None = None
    profile: str | None = None
    issuer: str | None = None
    state: State | None = None
    issued_since: datetime | None = None
    ends_before: datetime | None = None
    after: str | None = None
    most: int = 100


@dataclass(frozen=True)
class Found:
    """One certificate of the directory."""

    serial: str
    identity: str
    names: tuple[str, ...]
    issuer: str
    profile: str
    requested_by: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: str | None = None

    def state(self, now: datetime) -> State:
        if self.revoked_at is not None:
            return State.REVOKED
        return State.EXPIRED if now >= self.not_after else State.VALID


def read_wanted(query: dict[str, str], *, now: datetime) -> Wanted:
    """The search that a query says: `expires_within` and `issued_within` are seconds. Raises `UsageError`."""
    try:
        most = int(query.get("most", "100"))
        within, since = (float(query[name]) if name in query else None for name in ("expires_within", "issued_within"))
        return Wanted(
            serial=query["serial"].lower().replace(":", "").lstrip("0") if "serial" in query else None,
            name=query.get("name"),
            identity=query.get("identity"),
            fingerprint=query["fingerprint"].lower().replace(":", "") if "fingerprint" in query else None,
            profile=query.get("profile"),
            issuer=query.get("issuer"),
            state=State(query["state"]) if "state" in query else None,
            issued_since=now - timedelta(seconds=since) if since is not None else None,
            ends_before=now + timedelta(seconds=within) if within is not None else None,
            after=query.get("after"),
            most=max(1, min(most, MOST)),
        )
    except (ValueError, OverflowError) as error:
        raise UsageError(f"this cannot be searched for: {error}") from error


@dataclass(frozen=True)
class Forecast:
    """How many certificates end in one span of time, by profile."""

    begins: datetime
    ends: datetime
    by_profile: dict[str, int]


def forecast(ends: Sequence[tuple[datetime, str]], *, now: datetime, span: timedelta, spans: int) -> list[Forecast]:
    """What ends when: (end, profile) pairs sorted into so many spans from now on."""
    found: list[Counter[str]] = [Counter() for _ in range(spans)]
    for end, profile in ends:
        place = (end - now) // span
        if 0 <= place < spans:
            found[place][profile] += 1
    return [Forecast(now + span * i, now + span * (i + 1), dict(each)) for i, each in enumerate(found)]
