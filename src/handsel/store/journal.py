"""The journal: one hash chain a server of all that happened, so that a line that is changed or missing is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

GENESIS = "0" * 64


@dataclass(frozen=True)
class JournalEntry:
    """One event as a write: `kind` and fields, at a time. Its place in the chain is given when it is committed."""

    kind: str
    at: datetime
    fields: tuple[tuple[str, str], ...]

    def canonical(self) -> str:
        """The bytes that are hashed, as text: JSON with sorted keys and no spaces."""
        return json.dumps(
            {"kind": self.kind, "at": self.at.isoformat(), "fields": dict(self.fields)},
            sort_keys=True,
            separators=(",", ":"),
        )


def entry(kind: str, at: datetime, **fields: str) -> JournalEntry:
    """A journal entry with these fields."""
    return JournalEntry(kind, at, tuple(sorted(fields.items())))


def link(previous: str, canonical: str) -> str:
    """The hash of an entry that follows the entry with hash `previous`."""
    return hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest()


def first_broken(lines: Iterable[tuple[int, str, str]]) -> int | None:
    """The number of the first line whose hash does not follow, or None. A line is (number, canonical, hash)."""
    previous = GENESIS
    expected = 1
    for number, canonical, digest in lines:
        if number != expected or link(previous, canonical) != digest:
            return number
        previous, expected = digest, number + 1
    return None
