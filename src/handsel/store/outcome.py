"""Decide, then commit, then answer.

A service function decides and returns an `Outcome`; the adapter commits its writes and only then gives the answer.
A write is any frozen dataclass; how it becomes a statement is said by the `tables` adapter of the room it belongs to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

Answer_co = TypeVar("Answer_co", covariant=True)

Writes = tuple[Any, ...]
"""Writes that are committed together or not at all, in this order."""

Appliers = Mapping[type, Callable[[Any, Any], None]]
"""For each type of write a function of (connection, write) that carries it out, or raises `Conflict`."""


@dataclass(frozen=True)
class Outcome(Generic[Answer_co]):
    """What was decided: what to write, and what to answer once that is durable."""

    writes: Writes
    answer: Answer_co


class Store(Protocol):
    """One durable store. Several outcomes may share one commit; each is all or nothing."""

    def commit(self, writes: Writes) -> Awaitable[None]:
        """Durable when it returns. Raises `Conflict` when a precondition of a write no longer holds."""
        ...
