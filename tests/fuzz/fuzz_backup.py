"""Backups as somebody may have changed them: any bytes are restored whole, or refused in one line."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from handsel.errors import StateError
from handsel.store.adapters import backup


def fuzz(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="hs") as name:
        folder = Path(name)
        (folder / "given").write_bytes(data)
        try:
            manifest, database, _ = backup.load(folder / "given", folder, password=None)
        except StateError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error}") from error
            return
        if database is not None and hashlib.sha256(database.read_bytes()).hexdigest() != manifest.sha256:
            raise AssertionError("a database that is not the one that was saved")
        if {each.name for each in folder.iterdir()} - {"given", "handsel.db"}:
            raise AssertionError("a file that nobody asked for")
