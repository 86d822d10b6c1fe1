"""The blocks of a PEM file (RFC 7468, section 2; headers: RFC 1421, section 4.6). Text around is left alone."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field

BEGIN = b"-----BEGIN "
_END, _DASHES = b"-----END ", b"-----"
_LONGEST_LABEL, _LINE = 64, 64


@dataclass(frozen=True)
class Block:
    """One block. `text`: all of it, from its first dash to a last newline; `before`: what stands above it."""

    label: str
    text: bytes = field(repr=False)
    before: bytes = field(default=b"", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Such as `DEK-Info`; nearly every block has none."""
        return dict(_headers(self._inside.splitlines()))

    def data(self) -> bytes:
        """What it holds. Raises `ValueError` when it is no base64."""
        lines = self._inside.split()
        if b":" in self._inside:
            # headers, some of them continued on lines of their own, end with an empty line
            lines = self._inside.replace(b"\r", b"").partition(b"\n\n")[2].split()
        try:
            return base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise ValueError(f"a block {self.label!r} is no base64") from error

    @property
    def _inside(self) -> bytes:
        frame = len(BEGIN) + len(self.label) + len(_DASHES)
        return self.text[frame : self.text.rindex(_END)].strip()


def blocks(content: bytes) -> Iterator[Block]:
    """One after the other. Raises `ValueError` for one that does not end."""
    before, start = 0, content.find(BEGIN)
    while start >= 0:
        label_end = content.find(_DASHES, start + len(BEGIN))
        label = content[start + len(BEGIN) : max(label_end, 0)]
        end_mark = _END + label + _DASHES
        end = content.find(end_mark, label_end) if 0 < len(label) < _LONGEST_LABEL else -1
        if end < 0:
            raise ValueError(f"a block begins at byte {start} and does not end")
        stop = end + len(end_mark)
        yield Block(label.decode("ascii", errors="replace"), content[start:stop] + b"\n", content[before:start])
        before, start = stop, content.find(BEGIN, stop)


def written(label: str, data: bytes) -> bytes:
    """A block of these bytes, in lines of 64 characters."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _headers(lines: list[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.decode("ascii", errors="replace").partition(":")
        if not colon:
            return
        yield name.strip(), value.strip()
