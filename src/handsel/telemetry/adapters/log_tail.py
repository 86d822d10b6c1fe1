"""Following files while others write them: only what is new, also when a file is put aside and begun anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_LARGEST_READ = 4 << 20
_LONGEST_LINE = 64 << 10


class LogTail:
    """The whole lines that are written from now on, each a JSON object. What is none is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        if file := self._open():
            file.seek(0, 2)

    def records(self) -> Iterator[dict[str, Any]]:
        """What is new, at most some megabytes at once. Raises `OSError` when it may not be read."""
        file = self._file or self._open()
        if file is None:
            return
        data = file.read(_LARGEST_READ)
        if not data:
            self._follow()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO | None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None
        return self._file

    def _follow(self) -> None:
        """Turn to the new file when this one was put aside and read to its end."""
        if self._file is None:
            return
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return
        if there.st_ino != os.fstat(self._file.fileno()).st_ino:
            self.close()
            self._rest = b""
            self._open()
