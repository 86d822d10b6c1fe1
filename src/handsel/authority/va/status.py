"""Every revocation in memory: what OCSP answers from, and the entries of the lists, made once and kept."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from handsel.authority.model import name_of
from handsel.authority.revocation import Reason
from handsel.authority.status_places import Scope
from handsel.pki.revocation import entry


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revoked certificate. `sequence` says in which order revocations were committed; `not_after` when it ends.

    `identity`: the SPIFFE ID that it carries; empty: none.
    """

    sequence: int
    serial: int
    issuer: str
    at: datetime
    reason: Reason
    not_after: datetime
    identity: str = ""


_BLOCK = 512

_Block = dict[int, bytes]
"""The entries of revocations that follow each other, DER, by their sequence."""


@dataclass(frozen=True)
class Entries:
    """What will stand on a list: what was revoked after one sequence and until another.

    The blocks are those of the index, which goes on: gathering so many entries takes a thread that takes its time.
    """

    after: int
    until: int
    count: int = 0
    _blocks: tuple[_Block, ...] = ()

    def pieces(self) -> Iterator[bytes]:
        """The entries, many in a piece."""
        for block in self._blocks:
            known = tuple(block.items())  # in one step, since the index may add to it
            yield b"".join([der for sequence, der in known if self.after < sequence <= self.until])


@dataclass
class Held:
    """The entries of one scope of one CA, as they stand on its next list.

    `listed_until`: the sequence of the last revocation on its newest complete list; `listed_at` when that was made.
    """

    listed_until: int = 0
    listed_at: datetime | None = None
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _ends: list[tuple[datetime, int]] = field(default_factory=list)

    def add(self, revocation: Revocation, der: bytes) -> None:
        sequence = revocation.sequence
        self._blocks.setdefault(sequence // _BLOCK, {})[sequence] = der
        heapq.heappush(self._ends, (revocation.not_after, sequence))

    def complete(self, until: int) -> Entries:
        """All entries up to a sequence, for a complete list.

        A certificate that has ended stays until it was on one list made after its end (RFC 5280, section 3.3).
        """
        not_yet_listed = []
        while self._ends and self.listed_at is not None and self._ends[0][0] < self.listed_at:
            ended = heapq.heappop(self._ends)
            if ended[1] > self.listed_until:
                not_yet_listed.append(ended)
            else:
                self._forget(ended[1])
        for each in not_yet_listed:
            heapq.heappush(self._ends, each)
        return self._entries(0, until)

    def changed(self, until: int) -> Entries:
        """The entries that came since the newest complete list, for a delta."""
        return self._entries(self.listed_until, until)

    def listed(self, until: int, at: datetime) -> None:
        """A complete list was published, with everything up to this sequence."""
        self.listed_until, self.listed_at = until, at

    def _entries(self, after: int, until: int) -> Entries:
        blocks = tuple(block for number, block in self._blocks.items() if number >= after // _BLOCK)
        before = sum(sequence <= after for block in blocks[:1] for sequence in block)
        return Entries(after, until, sum(map(len, blocks)) - before, blocks)

    def _forget(self, sequence: int) -> None:
        number = sequence // _BLOCK
        del self._blocks[number][sequence]
        if not self._blocks[number]:
            del self._blocks[number]


class StatusIndex:
    """Every revocation by CA and serial number. Adding one costs the same however many there are."""

    def __init__(self) -> None:
        self.sequence = 0
        self.last_identity = 0  # the sequence of the newest identity among them
        self._by_serial: dict[tuple[str, int], Revocation] = {}
        self._held: dict[tuple[str, Scope], Held] = {}
        self._identities: dict[str, dict[int, Revocation]] = {}
        self.withdrawn: dict[str, int] = {}  # the identities among them, with the sequence of each one's last

    def __len__(self) -> int:
        return len(self._by_serial)

    def find(self, issuer: str, serial: int) -> Revocation | None:
        return self._by_serial.get((issuer, serial))

    def held(self, issuer: str, scope: Scope) -> Held:
        """The entries of this scope, from the first time on that it is asked for. Ask before there are many.

        `issuer` may be one of several keys of a CA (`Issuer.place`): each of its lists has the entries of all of them.
        """
        found = self._held.get((issuer, scope))
        if found is None:
            found = self._held[issuer, scope] = Held()
            for each in self._by_serial.values():
                if each.issuer == name_of(issuer) and scope.covers(each.serial):
                    found.add(each, _der(each))
        return found

    def add(self, revocations: Iterable[Revocation]) -> list[Revocation]:
        """Take in what was committed; gives what is new here."""
        new = [each for each in revocations if (each.issuer, each.serial) not in self._by_serial]
        for each in new:
            self._by_serial[each.issuer, each.serial] = each
            self.sequence = max(self.sequence, each.sequence)
            self._keep(each)
        return new

    def _keep(self, revocation: Revocation) -> None:
        der = _der(revocation)
        for (issuer, scope), held in self._held.items():
            if name_of(issuer) == revocation.issuer and scope.covers(revocation.serial):
                held.add(revocation, der)
        if revocation.identity:
            self.withdrawn[revocation.identity] = revocation.sequence
            self.last_identity = max(self.last_identity, revocation.sequence)
            self._identities.setdefault(revocation.issuer, {})[revocation.serial] = revocation

    def identities(self, issuer: str, now: datetime) -> list[bytes]:
        """The entries of identities of the mesh that are revoked and have not ended. There are few: they live short."""
        known = self._identities.get(name_of(issuer), {})
        for serial in [serial for serial, each in known.items() if each.not_after <= now]:
            del known[serial]
        return [_der(each) for each in known.values()]


def _der(revocation: Revocation) -> bytes:
    return entry(revocation.serial, revocation.at, revocation.reason)
