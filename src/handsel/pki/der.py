"""The little DER that OCSP and CRLs need beyond `cryptography` (X.690): bounded reading, plain writing."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
UTC_TIME, GENERALIZED_TIME, SEQUENCE, BOOLEAN, UTF8_STRING = 0x17, 0x18, 0x30, 0x01, 0x0C
SET, BMP_STRING, CONTEXT, CONTEXT_PRIMITIVE = 0x31, 0x1E, 0xA0, 0x80
"""`CONTEXT | 1` is the tag [1] of something that has parts, `CONTEXT_PRIMITIVE | 1` of something that has none."""
_LONGEST_LENGTH = 4
_LONGEST_OID = 64
_LONGEST_SERIAL = 32
"""Octets: a serial number has 20 (RFC 5280, 4.1.2.2); readers are asked to be somewhat tolerant."""


class Reader:
    """Reads one element after the other. Every method raises `ValueError` for bytes that are not what was asked for."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        """Of all the bytes, or of those from `at` to `end`."""
        self._data, self._at, self._end = data, at, len(data) if end is None else end

    @property
    def next_tag(self) -> int | None:
        """The tag of what comes next, or None at the end."""
        return self._data[self._at] if self._at < self._end else None

    def read(self, tag: int) -> bytes:
        """The content of the next element, which must have this tag."""
        content = self._element(tag)
        return self._data[content : self._at]

    def read_whole(self, tag: int) -> bytes:
        """The same with its tag and length."""
        start = self._at
        self._element(tag)
        return self._data[start : self._at]

    def skip(self, *tags: int) -> None:
        """Go past elements that must have these tags."""
        for tag in tags:
            self._element(tag)

    def inside(self, tag: int) -> Reader:
        """A reader of the next element's content."""
        content = self._element(tag)
        return Reader(self._data, content, self._at)

    def optional(self, tag: int) -> Reader | None:
        """A reader of the next element's content if it has this tag."""
        return self.inside(tag) if self.next_tag == tag else None

    def read_integer(self) -> int:
        """A whole number of at most 32 octets."""
        content = self.read(INTEGER)
        if not 1 <= len(content) <= _LONGEST_SERIAL:
            raise ValueError("a number is empty or too long")
        return int.from_bytes(content, signed=True)

    def read_oid(self) -> str:
        """An object identifier, dotted (X.690, 8.19); one of at most 64 octets."""
        content = self.read(OID)
        if not 1 <= len(content) <= _LONGEST_OID or content[-1] & 0x80:
            raise ValueError("an object identifier is empty, too long or cut off")
        return _dotted(content)

    def read_generalized_time(self) -> datetime:
        """A time in UTC, to the second (X.690, 11.7); what is finer is passed over."""
        text = self.read(GENERALIZED_TIME).decode("ascii", errors="replace")
        if not text.endswith("Z"):
            raise ValueError("a time is not in UTC")
        return datetime.strptime(text[:-1].partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)

    @property
    def left(self) -> int:
        """How many bytes follow what was read."""
        return self._end - self._at

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise ValueError("there are bytes after the end")

    def _element(self, tag: int) -> int:
        """Go to the end of the next element, which must have this tag; where its content begins."""
        start, data, end = self._at, self._data, self._end
        if start + 2 > end or data[start] != tag:
            raise ValueError(f"there is no element with the tag {tag:#x} where one must be")
        length, content = data[start + 1], start + 2
        if length > 0x80:
            octets = length & 0x7F
            if octets > _LONGEST_LENGTH or content + octets > end:
                raise ValueError("a length is too long")
            length = int.from_bytes(data[content : content + octets])
            content += octets
        elif length == 0x80:
            raise ValueError("a length is indefinite, which DER does not know")
        if content + length > end:
            raise ValueError("an element is longer than what it lies in")
        self._at = content + length
        return content


@lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    """The content of an object identifier; a file has few of them, again and again."""
    numbers, number = [], 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(each) for each in (first, numbers[0] - 40 * first, *numbers[1:]))


def element(tag: int, *parts: bytes) -> bytes:
    """An element of these parts."""
    content = b"".join(parts)
    return head(tag, len(content)) + content


def head(tag: int, size: int) -> bytes:
    """Tag and length of an element whose content has this many bytes."""
    if size < 0x80:
        return bytes((tag, size))
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length


def sequence(*parts: bytes) -> bytes:
    return element(SEQUENCE, *parts)


def integer(value: int) -> bytes:
    """A whole number that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def bit_string(content: bytes) -> bytes:
    """Whole octets as a bit string."""
    return element(BIT_STRING, b"\0", content)


def oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *others = (int(each) for each in dotted.split("."))
    content = bytearray()
    for number in (first * 40 + second, *others):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return element(OID, bytes(content))


def generalized_time(moment: datetime) -> bytes:
    """A time in UTC, to the second (RFC 5280, 4.1.2.5.2)."""
    return element(GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())


def time(moment: datetime) -> bytes:
    """A time as certificates and CRLs write it: UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5)."""
    if 1950 <= moment.year < 2050:
        return element(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return generalized_time(moment)
