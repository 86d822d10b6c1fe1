"""How often clients may ask (RFC 8555, section 6.6): buckets of tokens that all servers of a database share.

A server takes a handful out of a bucket at a time, in the commit in which the first of them is spent, and then gives
out the others by itself: one request in many costs a write more, and all servers together give no more than was said.
A bucket is kept as the moment when it will be full again, see `adapters.limit_tables`.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from handsel.acme.problems import Identifier, Problem
from handsel.errors import Conflict

_HOUR = 3600.0
_HANDFULS = 100
"""Into how many handfuls a bucket is divided. What one server holds, another cannot give: at most one of a hundred."""
_HELD_SECONDS = 600.0
"""How long a server holds a handful; then it is lost, and the bucket has filled again meanwhile."""
_TAKING_SECONDS = 5.0
_ROUNDING = 1e-6
_MOST_KEPT = 100_000
_LONGEST_WAIT = 24 * 3600


@dataclass(frozen=True)
class Bucket:
    """It holds at most `most` tokens and gains as many in an hour; 0: no limit. People read of it as `shown`."""

    name: str
    most: int
    shown: str


@dataclass(frozen=True)
class Taken:
    """Tokens leave a bucket at a time (in seconds since 1970). Raises `TooFew` when it holds fewer."""

    name: str
    most: int
    tokens: int
    at: float


class TooFew(Conflict):
    """A bucket holds fewer tokens than somebody wanted to take."""

    def __init__(self, taken: Taken, left: float) -> None:
        super().__init__(f"{taken.name}: {left:.1f} are left")
        self.taken = taken
        self.left = left


def full_after(full_at: float, taken: Taken) -> float:
    """When a bucket will be full that would have been at `full_at`, now that something is taken. Raises `TooFew`."""
    missing = min(max(full_at - taken.at, 0.0), _HOUR)  # whatever clocks did: at worst it is empty
    left = taken.most * (1 - missing / _HOUR)
    if left < taken.tokens - _ROUNDING:
        raise TooFew(taken, left)
    return taken.at + missing + taken.tokens * _HOUR / taken.most


@dataclass
class _Held:
    """What a server has of a bucket: `tokens` until a time, and that the bucket held `left` of them at `seen`.

    `taking`: until when a handful is thought to be on its way.
    """

    tokens: int = 0
    until: float = 0.0
    left: float = math.inf
    seen: float = 0.0
    taking: float = 0.0

    def left_now(self, most: int, now: float) -> float:
        """The most that the bucket can hold now: others may have taken from it."""
        return min(float(most), self.left + max(0.0, now - self.seen) * most / _HOUR)

    def wait(self, most: int, now: float) -> float:
        """Seconds until there is a token, 0 when there may be one already."""
        if self.tokens >= 1 and now < self.until:
            return 0.0
        missing = 1 - self.left_now(most, now)
        return missing * _HOUR / most if missing > _ROUNDING else 0.0


class Buckets:
    """What this server holds of the buckets. `clock` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float], *, most_kept: int = _MOST_KEPT) -> None:
        self._clock = clock
        self._most_kept = most_kept
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def take(self, wanted: Sequence[Bucket], help_url: str) -> tuple[Taken, ...]:
        """Take a token of each of some buckets, or none of any: then raise `Problem` (`rateLimited`).

        What is returned belongs into the commit of what was counted; then call `keep`, or `learn` if it was `TooFew`.
        """
        now = self._clock()
        limited = [each for each in wanted if each.most > 0]
        waits = [(self._of(each.name).wait(each.most, now), each.shown) for each in limited]
        seconds, shown = max(waits, default=(0.0, ""))
        if seconds > 0:
            raise too_many(shown, seconds, help_url)
        taken: list[Taken] = []
        for each in limited:
            held = self._of(each.name)
            if held.tokens >= 1 and now < held.until:
                held.tokens -= 1
                continue
            handful = each.most // _HANDFULS if now >= held.taking else 1  # one request brings it, not each of many
            tokens = max(1, min(handful, int(held.left_now(each.most, now))))
            held.taking = now + _TAKING_SECONDS
            taken.append(Taken(each.name, each.most, tokens, now))
        return tuple(taken)

    def keep(self, taken: Iterable[Taken]) -> None:
        """They are taken; the first of each was spent."""
        for each in taken:
            held = self._of(each.name)
            held.tokens = each.tokens - 1 + (held.tokens if each.at < held.until else 0)
            held.until = each.at + _HELD_SECONDS
            held.left, held.seen = held.left_now(each.most, each.at) - each.tokens, each.at
            held.taking = 0.0

    def learn(self, error: TooFew) -> None:
        """A bucket holds less than this server thought."""
        held = self._of(error.taken.name)
        held.left, held.seen, held.taking = error.left, error.taken.at, 0.0

    def _of(self, name: str) -> _Held:
        held = self._held.setdefault(name, _Held())
        self._held.move_to_end(name)
        while len(self._held) > self._most_kept:  # what it held is lost; whoever asks again takes anew
            self._held.popitem(last=False)
        return held


def counted_address(client: str) -> str:
    """What limits count a client's address under: a host with IPv6 has a whole /64 for itself."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def registered_name(identifier: Identifier) -> str:
    """What limits count a name under: its last two labels, or the whole address."""
    if identifier.type != "dns":
        return identifier.value
    return ".".join(identifier.value.removeprefix("*.").split(".")[-2:])


def registered_names(identifiers: Iterable[Identifier]) -> tuple[str, ...]:
    """The same for many, each once and in one order, so that servers do not wait for each other in a circle."""
    return tuple(sorted({registered_name(each) for each in identifiers}))


def too_many(what: str, seconds: float, help_url: str) -> Problem:
    """The refusal that tells a client when to come again."""
    wait = min(_LONGEST_WAIT, max(1, math.ceil(seconds)))
    return Problem(
        "rateLimited", f"too many for {what}: come again in {wait} s",
        headers=(("Retry-After", str(wait)), ("Link", f'<{help_url}>;rel="help"')),
    )  # fmt: skip
