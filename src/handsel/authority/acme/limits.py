"""How often clients may ask (RFC 8555, section 6.6): buckets of tokens, kept in this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from handsel.acme.problems import Identifier, Problem

_HOUR = 3600.0
_MOST_KEPT = 100_000
_LONGEST_WAIT = 24 * 3600


class Buckets:
    """Each bucket holds as many tokens as may be taken in an hour, and fills steadily. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], *, most_kept: int = _MOST_KEPT) -> None:
        self._clock = clock
        self._most_kept = most_kept
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, wanted: Sequence[tuple[str, int]]) -> tuple[str, float] | None:
        """Take a token from each of some buckets, or none of any: then the emptiest one, and seconds until it has one.

        `wanted` holds (name, most an hour); a bucket of 0 has no limit.
        """
        now = self._clock()
        limited = [(name, most, self._tokens(name, most, now)) for name, most in wanted if most > 0]
        waits = [(name, (1 - tokens) * _HOUR / most) for name, most, tokens in limited if tokens < 1]
        if waits:
            return max(waits, key=lambda each: each[1])
        for name, _, tokens in limited:
            self._held[name] = (tokens - 1, now)
            self._held.move_to_end(name)
        while len(self._held) > self._most_kept:  # the one that was asked for longest ago is full by now, or nearly
            self._held.popitem(last=False)
        return None

    def _tokens(self, name: str, most: int, now: float) -> float:
        tokens, at = self._held.get(name, (float(most), now))
        return min(float(most), tokens + max(0.0, now - at) * most / _HOUR)


def registered_name(identifier: Identifier) -> str:
    """What limits count a name under: its last two labels, or the whole address."""
    if identifier.type != "dns":
        return identifier.value
    return ".".join(identifier.value.removeprefix("*.").split(".")[-2:])


def registered_names(identifiers: Iterable[Identifier]) -> tuple[str, ...]:
    """The same for many, each once."""
    return tuple(dict.fromkeys(registered_name(each) for each in identifiers))


def too_many(what: str, seconds: float, help_url: str) -> Problem:
    """The refusal that tells a client when to come again."""
    wait = min(_LONGEST_WAIT, max(1, math.ceil(seconds)))
    return Problem(
        "rateLimited", f"too many for {what}: come again in {wait} s",
        headers=(("Retry-After", str(wait)), ("Link", f'<{help_url}>;rel="help"')),
    )  # fmt: skip
