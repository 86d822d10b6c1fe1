"""Reading access logs while the proxies write them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from handsel.diagnose.evidence import Line, parse_lines

_PAUSE_SECONDS = 0.05
_LARGEST_READ = 32 << 20

Found = TypeVar("Found")


class LogTail:
    """The lines that are written from now on; with `whole` those that are there already too."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._path = path
        self._from = path.stat().st_size if path.exists() and not whole else 0

    def lines(self) -> list[Line]:
        """Every whole line since this tail was made."""
        return read_lines(self._path, self._from)

    async def find(self, pick: Callable[[list[Line]], Found | None], seconds: float) -> Found | None:
        """What `pick` finds among the new lines, waiting until it is there or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            found = pick(self.lines())
            if found is not None or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_PAUSE_SECONDS)


def read_lines(path: Path, start: int = 0) -> list[Line]:
    """The whole lines of a log from a byte position; of a huge rest only the end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - _LARGEST_READ))
            return parse_lines(file.read().decode(errors="replace"))
    except FileNotFoundError:
        return []
