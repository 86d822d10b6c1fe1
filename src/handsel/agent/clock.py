"""The time as the server has it: this host's own clock may be wrong, or be set while we run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

LARGEST_SKEW = timedelta(seconds=30)
"""How much this host's clock may differ from the server's before that is a problem."""


class Clock:
    """`now` is this host's time until the server has said its own; from then on that, however this host's is set.

    `system` gives this host's time, `monotonic` seconds that only grow.
    """

    def __init__(self, system: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._system, self._monotonic = system, monotonic
        self._heard: tuple[datetime, float] | None = None

    def heard(self, time: datetime) -> None:
        """The server has said what time it is."""
        self._heard = (time, self._monotonic())

    def now(self) -> datetime:
        if self._heard is None:
            return self._system()
        time, at = self._heard
        return time + timedelta(seconds=self._monotonic() - at)

    @property
    def problem(self) -> str:
        """What is wrong with this host's clock; empty when nothing is known to be."""
        skew = self._system() - self.now()
        if abs(skew) <= LARGEST_SKEW:
            return ""
        way = "ahead of" if skew > timedelta() else "behind"
        return f"the clock of this host is {_told(abs(skew))} {way} the server's: its proxies refuse valid certificates"


def _told(skew: timedelta) -> str:
    seconds = round(skew.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
