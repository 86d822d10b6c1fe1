"""Bytes as Java's `DataInput` and `DataOutput` have them: big-endian numbers, and text in modified UTF-8.

Modified UTF-8 (java.io.DataInput) writes U+0000 in two bytes, and what lies above U+FFFF as two surrogates of three
bytes each.
"""

from __future__ import annotations

import re
import struct

from handsel.errors import StoreUnreadable

LONGEST_TEXT = 0xFFFF
"""Bytes: the length has two."""
_SHORT, _INT, _LONG = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">q")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BEYOND_TWO_BYTES = re.compile("[\U00010000-\U0010ffff]")


class Cursor:
    """Reads one value after the other. Every method raises `StoreUnreadable` where the bytes end too early."""

    def __init__(self, content: bytes, end: int | None = None) -> None:
        self._content = content
        self._end = len(content) if end is None else end
        self.at = 0

    @property
    def left(self) -> int:
        """The bytes that were not read yet."""
        return self._end - self.at

    def take(self, size: int, what: str) -> bytes:
        """So many bytes."""
        start = self._advance(size, what)
        return self._content[start : self.at]

    def expect(self, literal: bytes, what: str) -> None:
        """Just these bytes. Raises `StoreUnreadable` for others."""
        start = self._advance(len(literal), what)
        if self._content[start : self.at] != literal:
            raise StoreUnreadable(f"at byte {start} there is not {what}")

    def goes_on_with(self, literal: bytes) -> bool:
        """Whether these bytes come next; they are passed over then."""
        found = self._content.startswith(literal, self.at, self._end)
        if found:
            self.at += len(literal)
        return found

    def short(self, what: str) -> int:
        """A number of two bytes, not negative."""
        value: int = _SHORT.unpack_from(self._content, self._advance(_SHORT.size, what))[0]
        return value

    def number(self, what: str) -> int:
        """A number of four bytes. Java's have a sign; here one that is negative there is very large."""
        value: int = _INT.unpack_from(self._content, self._advance(_INT.size, what))[0]
        return value

    def long(self, what: str) -> int:
        """A number of eight bytes with a sign."""
        value: int = _LONG.unpack_from(self._content, self._advance(_LONG.size, what))[0]
        return value

    def text(self, what: str) -> str:
        """A text with its length in two bytes. Halves of surrogate pairs without the other become U+FFFD."""
        try:
            return decode(self.take(self.short(what), what))
        except UnicodeDecodeError:
            raise StoreUnreadable(f"before byte {self.at} {what} is not text in modified UTF-8") from None

    def block(self, what: str) -> bytes:
        """Bytes with their number in four bytes."""
        return self.take(self.number(what), what)

    def _advance(self, size: int, what: str) -> int:
        start = self.at
        if size > self._end - start:
            raise StoreUnreadable(
                f"it is cut off or damaged: at byte {start} {what} needs {size} bytes, and {self.left} are left"
            )
        self.at += size
        return start


def decode(content: bytes) -> str:
    """Modified UTF-8 as text. Raises `UnicodeDecodeError`."""
    if content.isascii():
        return content.decode("ascii")
    text = content.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    if _SURROGATES.search(text):
        text = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
    return text


def encode(text: str) -> bytes:
    """Text as modified UTF-8. Raises `UnicodeEncodeError` for half a surrogate pair."""
    text.encode()
    halves = _BEYOND_TWO_BYTES.sub(lambda found: _halves(found[0]), text)
    return halves.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")


def _halves(letter: str) -> str:
    return "".join(chr(unit) for unit in struct.unpack(">2H", letter.encode("utf-16-be")))


def short(value: int) -> bytes:
    """A number in two bytes."""
    return _SHORT.pack(value)


def number(value: int) -> bytes:
    """A number in four bytes."""
    return _INT.pack(value)


def long(value: int) -> bytes:
    """A number in eight bytes."""
    return _LONG.pack(value)


def text(words: str) -> bytes:
    """A text with its length in two bytes. Raises `ValueError` when it is too long or no text that Java could have."""
    encoded = encode(words)
    if len(encoded) > LONGEST_TEXT:
        raise ValueError(f"a text has {len(encoded)} bytes, and at most {LONGEST_TEXT} can be written")
    return short(len(encoded)) + encoded


def block(content: bytes) -> bytes:
    """Bytes with their number in four bytes."""
    return number(len(content)) + content
