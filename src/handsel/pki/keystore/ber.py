"""BER as some programs write it, made into DER: ends that are marked, strings in pieces (X.690, 8.1.3.6 and 8.7).

Only the form changes: nothing is sorted, and what lies inside an OCTET STRING stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from handsel.pki import der

_INDEFINITE, _CONSTRUCTED, _LONGEST_LENGTH = 0x80, 0x20, 4
_DEEPEST, _MOST_ELEMENTS = 32, 200_000
_END = b"\0\0"

T = TypeVar("T")


def either(parse: Callable[[bytes], T], data: bytes) -> T:
    """What `parse` makes of DER, or of BER when it is none. Raises the `ValueError` of `parse`."""
    try:
        return parse(data)
    except ValueError:
        again = to_der(data)
        if again == data:
            raise
        return parse(again)


def to_der(data: bytes) -> bytes:
    """One element in BER, written again. Raises `ValueError` for what is malformed, nested too deep, or too much."""
    made, at = _Rewriter(data).element(0, 0)
    if at != len(data):
        raise ValueError("there are bytes after its end")
    return made


class _Rewriter:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _MOST_ELEMENTS

    def element(self, at: int, depth: int) -> tuple[bytes, int]:
        """The element that begins at `at`, in DER, and where it ends."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ValueError("it is nested too deep, or has too many elements")
        if at + 2 > len(self._data):
            raise ValueError("it is cut off")
        tag, start, end = self._data[at], *self._extent(at + 1)
        if not tag & _CONSTRUCTED:
            if end is None:
                raise ValueError("a value without parts does not tell its length")
            return der.element(tag, self._data[start:end]), end
        parts, stop = self._parts(start, end, depth)
        if tag == der.OCTET_STRING | _CONSTRUCTED:
            return der.element(der.OCTET_STRING, *(der.Reader(part).read(der.OCTET_STRING) for part in parts)), stop
        return der.element(tag, *parts), stop

    def _extent(self, at: int) -> tuple[int, int | None]:
        """Where the content begins and ends; None when it does not tell its end."""
        first, at = self._data[at], at + 1
        if first == _INDEFINITE:
            return at, None
        size = first
        if first > _INDEFINITE:
            octets = first & 0x7F
            if octets > _LONGEST_LENGTH:
                raise ValueError("a length is too long")
            size, at = int.from_bytes(self._data[at : at + octets]), at + octets
        if at + size > len(self._data):
            raise ValueError("an element is longer than what it lies in")
        return at, at + size

    def _parts(self, at: int, end: int | None, depth: int) -> tuple[list[bytes], int]:
        """The parts of an element, up to its end or its end mark, and where that is."""
        parts: list[bytes] = []
        while at != end:
            if end is None and self._data[at : at + 2] == _END:
                return parts, at + 2
            part, at = self.element(at, depth + 1)
            if end is not None and at > end:
                raise ValueError("an element is longer than what it lies in")
            parts.append(part)
        return parts, at
