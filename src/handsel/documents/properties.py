"""Java's properties files (java.util.Properties, `load`), with the place of every key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from handsel.errors import FileFault, InvalidFile

MAXIMUM_BYTES = 1 << 20
_MAXIMUM_ENTRIES = 100_000

_BLANK = " \t\f"
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_HEX = re.compile(r"[0-9a-fA-F]{4}")


@dataclass(frozen=True)
class Entry:
    """A key and its value; where the key stands, 1-based."""

    key: str
    value: str = field(repr=False)  # it may be a password
    line: int
    column: int


@dataclass(frozen=True)
class Properties:
    """Every entry of a file in its order. Of two with one key Java takes the last; `shadowed` has the others."""

    file: str
    entries: tuple[Entry, ...]

    @cached_property
    def by_key(self) -> Mapping[str, Entry]:
        return {each.key: each for each in self.entries}

    @property
    def shadowed(self) -> tuple[Entry, ...]:
        return tuple(each for each in self.entries if self.by_key[each.key] is not each)


def parse(content: bytes, file: str) -> Properties:
    """The entries of a file in UTF-8 or else ISO-8859-1. Raises `InvalidFile` with every fault.

    At most 1 MiB and 100,000 entries.
    """
    if len(content) > MAXIMUM_BYTES:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the file is larger than {MAXIMUM_BYTES >> 20} MiB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    entries: list[Entry] = []
    faults: list[FileFault] = []
    for line, column, logical in _logical_lines(text):
        if len(entries) >= _MAXIMUM_ENTRIES:
            raise InvalidFile([FileFault(file, line, column, "", f"more than {_MAXIMUM_ENTRIES} entries")])
        key, value = _split(logical)
        try:
            entries.append(Entry(_unescape(key), _unescape(value), line, column))
        except ValueError as error:
            faults.append(FileFault(file, line, column, "", str(error)))
    if faults:
        raise InvalidFile(faults)
    return Properties(file, tuple(entries))


def _logical_lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Each line that says something, with those that go on from it; where it begins."""
    parts: list[str] = []
    line = column = 0
    goes_on = False
    for number, natural in enumerate(_LINE_END.split(text), 1):
        stripped = natural.lstrip(_BLANK)
        # A comment or an empty line is one only where nothing was said before it.
        if not any(parts) and stripped.startswith(("#", "!")):
            parts, goes_on = [], False
            continue
        if not goes_on:
            if not stripped:
                continue
            line, column = number, len(natural) - len(stripped) + 1
        goes_on = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
        parts.append(stripped[:-1] if goes_on else stripped)
        if not goes_on:
            if any(parts):
                yield line, column, "".join(parts)
            parts = []
    if any(parts):
        yield line, column, "".join(parts)


def _split(line: str) -> tuple[str, str]:
    """Key and value as they are written: the key ends at a blank, `=` or `:` that no backslash stands before."""
    at, length = 0, len(line)
    while at < length and line[at] not in " \t\f=:":
        at += 2 if line[at] == "\\" else 1
    key, rest = line[:at], line[at:].lstrip(_BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANK)
    return key, rest


def _unescape(text: str) -> str:
    """Raises `ValueError` for a `\\u` without four hex digits, and for half a character."""
    if "\\" not in text:
        return text
    made: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            made.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "u":
            digits = text[at + 2 : at + 6]
            if not _HEX.fullmatch(digits):
                raise ValueError("\\u needs four hex digits")
            made.append(chr(int(digits, 16)))
            at += 6
        else:
            made.append(_ESCAPES.get(text[at + 1 : at + 2], text[at + 1 : at + 2]))
            at += 2
    try:
        return "".join(made).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise ValueError("\\u writes half a character") from error
