"""A Mule runtime's `wrapper.conf` on this host: what would change, and the change."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from handsel.agent import externalize
from handsel.agent.adapters.delivery.text_file import read_text_file, replace_text_file
from handsel.agent.externalize import Edited
from handsel.errors import UsageError


@dataclass(frozen=True)
class Change:
    """Of one file, not made yet."""

    path: Path
    before: bytes
    after: bytes
    notes: tuple[str, ...]

    @property
    def is_one(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """As a unified diff."""
        # ISO-8859-1 has a character for every byte.
        before, after = (each.decode("latin-1").splitlines(keepends=True) for each in (self.before, self.after))
        lines = difflib.unified_diff(before, after, str(self.path), str(self.path))
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def make(self) -> None:
        """Write it. Raises `UsageError`."""
        if self.is_one:
            replace_text_file(self.path, self.before, self.after)


def with_folder(path: Path, folder: Path) -> Change:
    """The folder on the class path. Raises `UsageError`."""
    return _change(path, folder, externalize.put)


def without_folder(path: Path, folder: Path) -> Change:
    """What was put there for it gone again. Raises `UsageError`."""
    return _change(path, folder, externalize.take_out)


def _change(path: Path, folder: Path, edit: Callable[[bytes, str], Edited]) -> Change:
    before = read_text_file(path, externalize.MAXIMUM_BYTES)
    try:
        edited = edit(before, str(folder.absolute()))
    except UsageError as error:
        raise UsageError(f"{path}: {error}", next_step=error.next_step) from error
    return Change(path, before, edited.content, edited.notes)
