"""A folder on the class path of a Mule runtime: one line of its `wrapper.conf`, put in and taken out, byte for byte.

The file is of the Java Service Wrapper: a setting a line, `#` for comments, entries of the class path numbered from 1.
The Wrapper reads up to the first number that is missing, so the lowest free one is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from handsel.errors import UsageError

MAXIMUM_BYTES = 1 << 20
_MARK = b"# handsel put this folder on the class path: "
_ENTRY = re.compile(rb"[ \t]*wrapper\.java\.classpath\.(\d{1,9})[ \t]*=[ \t]*(.*?)[ \t]*", re.IGNORECASE)
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")


@dataclass(frozen=True)
class Edited:
    """A file after an edit. `content` is what it was when nothing was to be done; `notes` say what to know."""

    content: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    text: bytes
    end: bytes
    start: int

    @property
    def entry(self) -> tuple[int, bytes] | None:
        """Number and path, when it is one of the class path."""
        found = _ENTRY.fullmatch(self.text)
        return (int(found[1]), found[2]) if found else None


def put(content: bytes, folder: str) -> Edited:
    """The folder on the class path, after what is there already. Again: nothing changes. Raises `UsageError`."""
    path, lines = _checked(content, folder), list(_lines(content))
    entries = [(line, *line.entry) for line in lines if line.entry]
    if any(there == path for _, _, there in entries):
        ours = any(line.text == _MARK + path for line in lines)
        return Edited(content, () if ours else (f"{folder} was on the class path before; that line stays as it is",))
    numbers = {number for _, number, _ in entries}
    number = next(each for each in range(1, len(numbers) + 2) if each not in numbers)
    anchor = entries[-1][0] if entries else _last(lines)
    ending = anchor.end or next((line.end for line in lines if line.end), b"\n")
    added = ending + _MARK + path + ending + b"wrapper.java.classpath.%d=%s" % (number, path)
    at = anchor.start + len(anchor.text)
    later = sorted(each for each in numbers if each > number)
    notes = (
        (f"number {number} was missing: wrapper.java.classpath.{later[0]} is read from now on too",) if later else ()
    )
    return Edited(content[:at] + added + content[at:], notes)


def take_out(content: bytes, folder: str) -> Edited:
    """Exactly what `put` has put in, gone again. Raises `UsageError`."""
    path = _checked(content, folder)
    lines = list(_lines(content))
    for mark, line in pairwise(lines):
        if mark.text == _MARK + path and line.entry and line.entry[1] == path:
            stop = line.start + len(line.text)
            start = mark.start - len(_end_before(lines, mark))
            if start == mark.start:  # at the very beginning: then what follows it goes along
                stop += len(line.end)
            return Edited(content[:start] + content[stop:])
    return Edited(content, (f"nothing in it was put there for {folder}",))


def _checked(content: bytes, folder: str) -> bytes:
    """The folder as the file has it. Raises `UsageError` for what such a file cannot say."""
    if len(content) > MAXIMUM_BYTES:
        raise UsageError(f"it is larger than {MAXIMUM_BYTES >> 20} MiB, which no wrapper.conf is")
    if b"\0" in content:
        raise UsageError("it is no text in an encoding that goes byte by byte, such as UTF-8")
    if not folder.startswith("/") or not folder.isprintable() or "%" in folder or folder != folder.strip():
        raise UsageError(f"{folder!r} cannot be written into a wrapper.conf: an absolute path without % is wanted")
    return folder.encode()


def _lines(content: bytes) -> Iterator[_Line]:
    at = 0
    while at < len(content):
        found = _LINE.match(content, at)
        if found is None or found.end() == at:
            return
        yield _Line(found[1], found[2], at)
        at = found.end()


def _last(lines: list[_Line]) -> _Line:
    return lines[-1] if lines else _Line(b"", b"", 0)


def _end_before(lines: list[_Line], line: _Line) -> bytes:
    index = lines.index(line)
    return lines[index - 1].end if index else b""
