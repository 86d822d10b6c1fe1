"""Time: the clock, and certificates that are not valid yet, or near their end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from handsel.diagnose.doctor.model import Check, Group

_MOST_SKEW = timedelta(seconds=30)
# Identities are renewed by two thirds of their life: what is left below this says that renewing fails.
_LEAST_LEFT = 1 / 4
_LEAST_LEFT_OF_CA = 1 / 10
_GROUP = Group("time")


@dataclass(frozen=True)
class Clock:
    """`now`, and the server's clock at that moment, if it told. `synchronized` None: that cannot be told."""

    now: datetime
    server: datetime | None = None
    synchronized: bool | None = None


@dataclass(frozen=True)
class Held:
    """A certificate that lies in the state folder."""

    name: str
    path: str
    not_before: datetime
    not_after: datetime
    is_ca: bool = False


def checks(clock: Clock, certificates: Iterable[Held]) -> list[Check]:
    held = list(certificates)
    found = [check for check in (_certificate(each, clock.now) for each in held) if check is not None]
    fine = len(held) - len(found)
    well = [_GROUP.ok("certificates", f"{fine} valid, and not near their end")] if fine else []
    none = [] if held else [_GROUP.skipped("certificates", "there are none here yet")]
    return [_synchronized(clock), _skew(clock), *well, *found, *none]


def _synchronized(clock: Clock) -> Check:
    if clock.synchronized is None:
        return _GROUP.skipped("clock", "whether the clock is synchronized cannot be told here")
    if clock.synchronized:
        return _GROUP.ok("clock", f"{clock.now:%Y-%m-%d %H:%M:%S} UTC, synchronized")
    return _GROUP.warning(
        "clock",
        f"{clock.now:%Y-%m-%d %H:%M:%S} UTC, not synchronized",
        "certificates live for an hour: a clock that drifts by minutes makes them look ended, or not valid yet",
        "run an NTP client, such as chrony or systemd-timesyncd",
    )


def _skew(clock: Clock) -> Check:
    if clock.server is None:
        return _GROUP.skipped("clock of the server", "the server did not say what time it is")
    skew = clock.now - clock.server
    seconds = f"{abs(skew.total_seconds()):.0f} s"
    if abs(skew) <= _MOST_SKEW:
        return _GROUP.ok("clock of the server", f"ours is within {_MOST_SKEW.total_seconds():.0f} s of it")
    return _GROUP.failure(
        "clock of the server",
        f"ours is {seconds} {'ahead of' if skew > timedelta() else 'behind'} it",
        "what one side signs looks ended, or not valid yet, to the other",
        "set the clock of the one that is wrong, and keep both by NTP",
    )


def _certificate(held: Held, now: datetime) -> Check | None:
    why = "a peer refuses a certificate outside of its time"
    if now < held.not_before:
        what = f"{held.name} is not valid before {held.not_before:%Y-%m-%d %H:%M:%S} UTC"
        return _GROUP.failure("certificates", what, why, f"is the clock behind? {held.path}")
    if now >= held.not_after:
        ended = f"{held.name} ended {held.not_after:%Y-%m-%d %H:%M:%S} UTC"
        return _GROUP.failure("certificates", ended, why, _renew(held))
    left = (held.not_after - now) / (held.not_after - held.not_before)
    if left < (_LEAST_LEFT_OF_CA if held.is_ca else _LEAST_LEFT):
        what = f"{held.name} ends {held.not_after:%Y-%m-%d %H:%M:%S} UTC, {left:.0%} of its life is left"
        why = "it is to be replaced in time" if held.is_ca else "it should have been renewed by now"
        return _GROUP.warning("certificates", what, why, _renew(held))
    return None


def _renew(held: Held) -> str:
    if held.is_ca:
        return "handsel ca rotate --help"
    return "does its agent run, and reach the server? An agent whose own has ended comes back by its recovery key"
