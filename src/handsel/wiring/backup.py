"""Backups of an authority: its database while it runs, and its keys when asked for; and the way back."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handsel.authority.adapters.signers.files import FileKeys
from handsel.errors import StateError, UsageError
from handsel.store import journal
from handsel.store.adapters import backup
from handsel.store.adapters.backup import Manifest
from handsel.store.adapters.files import hold_lock, make_folder, read_password
from handsel.store.adapters.sqlite import SqliteStore, found_revision, migrate
from handsel.wiring.admin.acts import LOCAL
from handsel.wiring.storage import APPLIERS, FILE


@dataclass(frozen=True)
class Restored:
    """What came out of a backup: how many lines of the journal, how many files of keys."""

    made: str
    lines: int
    keys: int


def save(state: Path, target: Path, password_file: Path | None) -> Manifest:
    """A backup of the authority with this state folder. Raises `StateError` or `UsageError`."""
    server = state / "server"
    database, keys = server / FILE, server / "authority"
    if not database.exists() and password_file is None:
        raise StateError(
            f"there is no {database}",
            next_step="state in PostgreSQL is backed up by pg_dump, the keys beside it by --with-keys",
        )
    if password_file is not None and not keys.is_dir():
        raise StateError(f"there are no keys in {keys}")
    password = read_password(password_file) if password_file else None
    return backup.save(database, keys, target, password=password, now=datetime.now(UTC))


def keys_are_elsewhere(state: Path) -> bool:
    """Whether no CA has its key in a file of this state: then they are in a token, and in no backup of this state."""
    return not FileKeys(state / "server" / "authority").names()


def restore(source: Path, state: Path, password_file: Path | None, *, dry_run: bool) -> Restored:
    """Put a backup into a state folder that has no state, once all of it was checked. Raises `StateError`."""
    password = read_password(password_file) if password_file else None
    server = state / "server"
    taken = [path for path in (server / FILE, server / "authority") if path.exists()]
    if taken:
        raise UsageError(f"{taken[0]} is there already", next_step="move it away, or name another --state")
    if not dry_run:
        make_folder(server)
    with tempfile.TemporaryDirectory(prefix=".restore.", dir=None if dry_run else server) as folder:
        manifest, database, keys = backup.load(source, Path(folder), password=password)
        lines = _check(database, manifest) if database else 0
        if not dry_run:
            with hold_lock(server / "lock", "restore"):
                backup.put_keys(keys, server / "authority")
                if database:  # last: this file says that there is a state
                    database.rename(server / FILE)
    return Restored(manifest.made, lines, len(keys))


def _check(database: Path, manifest: Manifest) -> int:
    """The number of journal lines of a database whose journal is whole; a line is added that says where it came from.

    It is migrated, so that it can be read.
    """
    if found_revision(database) is None:
        raise StateError("the database in the backup is empty")
    migrate(database)
    return asyncio.run(_check_journal(database, manifest))


async def _check_journal(database: Path, manifest: Manifest) -> int:
    store = SqliteStore(database, APPLIERS)
    try:
        total = 0
        for log in await store.logs():
            lines = await store.journal_lines(log)
            broken = journal.first_broken(lines)
            if broken is not None:
                raise StateError(f"the journal in the backup is broken at line {broken} of {log}")
            total += len(lines)
        # Who holds a newer checkpoint of this log sees that what followed is gone: here is why.
        line = journal.entry("restored", datetime.now(UTC), backup=manifest.made, sha256=manifest.sha256, by=LOCAL)
        await store.commit((line,))
        return total
    finally:
        store.close()
