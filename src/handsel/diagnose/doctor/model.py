"""What a check says, and what it may mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    """How a check went. `SKIPPED`: it does not apply here, or cannot be told."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Mend:
    """A change that loses nothing: a path's mode, or without a mode its removal."""

    path: str
    mode: int | None = None

    def __str__(self) -> str:
        return f"chmod {self.mode:o} {self.path}" if self.mode is not None else f"remove {self.path}"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's. `why` and `next_step` are empty when all is well."""

    group: str
    name: str
    result: Result
    what: str
    why: str = ""
    next_step: str = ""
    mends: tuple[Mend, ...] = ()


@dataclass(frozen=True)
class Group:
    """Makes the checks of one group."""

    title: str

    def ok(self, name: str, what: str) -> Check:
        return Check(self.title, name, Result.OK, what)

    def skipped(self, name: str, what: str) -> Check:
        return Check(self.title, name, Result.SKIPPED, what)

    def warning(self, name: str, what: str, why: str, next_step: str, mends: Iterable[Mend] = ()) -> Check:
        return Check(self.title, name, Result.WARNING, what, why, next_step, tuple(mends))

    def failure(self, name: str, what: str, why: str, next_step: str, mends: Iterable[Mend] = ()) -> Check:
        return Check(self.title, name, Result.FAILURE, what, why, next_step, tuple(mends))


@dataclass(frozen=True)
class Report:
    """All checks, and what was mended before they were made (or would be, in a dry run)."""

    checks: tuple[Check, ...]
    mended: tuple[Mend, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether no failure remains."""
        return all(check.result is not Result.FAILURE for check in self.checks)

    @property
    def mends(self) -> tuple[Mend, ...]:
        return tuple(mend for check in self.checks for mend in check.mends)

    def count(self, result: Result) -> int:
        return sum(check.result is result for check in self.checks)


def few(names: Iterable[str], most: int = 3) -> str:
    """Some of the names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
