"""The revocation lists of a CA: when each is due, what stands on it, and how it is signed.

A complete list and its delta share one numbering (RFC 5280, 5.2.3). Both are made anew at half of their life, so that
a server that was down for a while, or a reader that is slow, never meets one that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.authority.model import Issuer
from handsel.authority.status_places import EVERYTHING, Scope, StatusPlaces, list_name
from handsel.authority.va.status import Entries, Held
from handsel.errors import Refused
from handsel.model.authority import CrlSettings
from handsel.pki.revocation import ListHead, make_list, scope_urls

MESH = "mesh"
"""What the list of revoked identities is called, which goes to the agents only."""

_LARGE, _MOST_URLS = 1000, 8


@dataclass(frozen=True)
class CrlMade:
    """A list was signed; as a write it conflicts when one with this number or a higher one is there already.

    `name` says scope and kind; `base_number` is that of the complete list, its own for a complete one;
    `sequence` is the last revocation that it knows of; `entries` how many certificates are on it. `scope_urls` are
    known for a list that was made here: reading them out of a large one takes milliseconds.
    """

    issuer: str
    name: str
    number: int
    base_number: int
    sequence: int
    entries: int
    this_update: datetime
    next_update: datetime
    der: bytes = field(repr=False)
    scope_urls: tuple[str, ...] | None = field(default=None, compare=False)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for the next one."""
        return now >= self.this_update + (self.next_update - self.this_update) / 2


@dataclass(frozen=True)
class Plan:
    """One list that will be signed: what stands on it was gathered, so the rest may happen in a thread."""

    head: ListHead
    issuer: Issuer
    scope: Scope
    delta: bool
    entries: Entries = field(repr=False)

    @property
    def is_large(self) -> bool:
        """Whether hashing it takes longer than handing it to a thread."""
        return self.entries.count > _LARGE

    def sign(self) -> CrlMade:
        """Use the key."""
        head = self.head
        der = make_list(head, self.entries.pieces(), self.issuer.certificate, self.issuer.key)
        base = head.number if head.base_number is None else head.base_number
        name = list_name(self.scope, delta=self.delta)
        return CrlMade(
            self.issuer.place, name, head.number, base, self.entries.until, self.entries.count, head.this_update,
            head.next_update, der, head.scope_urls,
        )  # fmt: skip


@dataclass(frozen=True)
class Newest:
    """The newest lists of one scope, as far as there are any."""

    complete: CrlMade | None = None
    delta: CrlMade | None = None

    @property
    def number(self) -> int:
        return max((each.number for each in (self.complete, self.delta) if each), default=0)


def plan(
    issuer: Issuer, scope: Scope, newest: Newest, held: Held, places: StatusPlaces, settings: CrlSettings, *,
    sequence: int, now: datetime, force: bool = False,
) -> list[Plan]:  # fmt: skip
    """The lists of this scope that must be signed now: none, the delta, or both. Raises `Refused`.

    A delta that is made together with a complete list has its number and says nothing more (RFC 5280, 5.2.3).
    """
    now = now.replace(microsecond=0)
    if now >= issuer.certificate.not_after:
        raise Refused(f"the CA {issuer.name!r} has ended, and signs no more lists")
    both = force or newest.complete is None or newest.complete.is_due(now)
    if not both and newest.delta is not None and not newest.delta.is_due(now):
        return []
    number = newest.number + 1
    urls = () if scope == EVERYTHING else _scope_urls(places.crl(issuer.place, scope), newest.complete)
    found: list[Plan] = []
    if both:
        head = ListHead(
            number, now, _end(issuer, now, settings.lifetime), scope_urls=urls,
            delta_url=places.crl(issuer.place, scope, delta=True),
        )  # fmt: skip
        found.append(Plan(head, issuer, scope, delta=False, entries=held.complete(sequence)))
    base = number if both or newest.complete is None else newest.complete.number
    head = ListHead(number, now, _end(issuer, now, settings.delta_lifetime), base_number=base, scope_urls=urls)
    changed = Entries(sequence, sequence) if both else held.changed(sequence)
    found.append(Plan(head, issuer, scope, delta=True, entries=changed))
    return found


def mesh_crl(issuer: Issuer, entries: list[bytes], *, number: int, sequence: int, now: datetime) -> CrlMade:
    """The small list of revoked identities that have not ended. Raises `Refused`.

    It is true as long as its CA lives: a host that the server cannot reach must not cut itself off because of its age,
    and every identity on it ends by itself soon.
    """
    now, end = now.replace(microsecond=0), issuer.certificate.not_after
    if now >= end:
        raise Refused(f"the CA {issuer.name!r} has ended, and signs no more lists")
    der = make_list(ListHead(number, now, end), entries, issuer.certificate, issuer.key)
    return CrlMade(issuer.place, MESH, number, number, sequence, len(entries), now, end, der)


def _scope_urls(url: str, before: CrlMade | None) -> tuple[str, ...]:
    """Where the certificates of a shard look for it: here, and where it was when older ones were made."""
    earlier = (scope_urls(before.der) if before.scope_urls is None else before.scope_urls) if before else ()
    return tuple(dict.fromkeys((url, *earlier)))[:_MOST_URLS]


def _end(issuer: Issuer, now: datetime, life: timedelta) -> datetime:
    return min(now + life, issuer.certificate.not_after)
