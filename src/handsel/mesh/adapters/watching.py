"""Files that change: told once things are quiet for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from watchfiles import awatch

QUIET_SECONDS = 0.03
"""Nothing may change for so long before a change is told: editors and tools write several files."""
_LONGEST_MS = 500
_AGAIN_SECONDS = 1.0


async def changes_of(paths: Callable[[], Sequence[Path]]) -> AsyncIterator[None]:
    """A step for each burst of changes in these files and folders; `paths` is asked again after each.

    Folders are watched, also for single files: editors put a new file in the place of the old one.
    """
    while True:
        folders = sorted({str(each if each.is_dir() else each.parent) for each in _known(paths)})
        if not folders:
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        async for _ in awatch(*folders, debounce=_LONGEST_MS, step=round(QUIET_SECONDS * 1000), recursive=True):
            yield None
            if sorted({str(each if each.is_dir() else each.parent) for each in _known(paths)}) != folders:
                break


def _known(paths: Callable[[], Sequence[Path]]) -> list[Path]:
    return [each for each in paths() if (each if each.is_dir() else each.parent).is_dir()]
