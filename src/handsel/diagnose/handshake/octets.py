"""Bytes read from the front, as TLS writes its structures (RFC 8446, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Part = TypeVar("_Part")
_MOST_PARTS = 1000
"""Parts of a list: no honest message has so many suites, extensions or authorities."""


class Octets:
    """What is left of a structure. Every reading raises `ValueError` when there is less than it says."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._content)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        end = self._at + count
        if end > len(self._content):
            raise ValueError(f"{count} bytes are announced, and {len(self._content) - self._at} are there")
        found = self._content[self._at : end]
        self._at = end
        return found

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> Octets:
        """What stands behind a length of `size` bytes."""
        return Octets(self.take(self.number(size)))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._content) - self._at)

    def each(self, read: Callable[[Octets], _Part]) -> tuple[_Part, ...]:
        """The parts of a list, up to its end."""
        found: list[_Part] = []
        while self:
            if len(found) == _MOST_PARTS:
                raise ValueError(f"a list of more than {_MOST_PARTS} parts")
            found.append(read(self))
        return tuple(found)

    def numbers(self, size: int) -> tuple[int, ...]:
        """A list of numbers of `size` bytes."""
        return self.each(lambda octets: octets.number(size))

    def end(self) -> None:
        """Raises `ValueError` when something is left."""
        if self:
            raise ValueError(f"{len(self._content) - self._at} bytes are left over")


def extensions(octets: Octets) -> dict[int, bytes]:
    """A list of extensions by number (RFC 8446, section 4.2); none at all where the message ends before."""
    if not octets:
        return {}
    pairs = octets.vector(2).each(lambda each: (each.number(2), each.vector(2).rest()))
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an extension stands there twice")
    return found
