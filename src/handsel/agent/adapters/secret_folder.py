"""The folder of delivered secrets: `SERVICE/NAME`, and `SERVICE/GROUP/NAME` for a group, which changes in one step.

Files are whole or absent. A group is a link to a folder of its own, which is replaced by a link to the next one, so
that a key store never lies beside another one's password.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from handsel.agent import secrets
from handsel.agent.adapters.delivery.owners import ids_of
from handsel.agent.secrets import Key, Unit
from handsel.errors import ProtocolError, StateError
from handsel.link.secrets import SecretRef, SecretRefs
from handsel.model.secret import FILE_MODE
from handsel.pki.secret import Secret
from handsel.store.adapters.files import make_folder, write_file

_MOST_BYTES = 1 << 20
_PASSABLE = 0o711


class SecretFolder:
    """What lies in a folder.

    `placed` says what, by unit; `groups`: by service, the group of the host that may read it, where it is given to one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = folder / ".placed"
        self.placed: dict[Unit, tuple[SecretRef, ...]] = {}
        self.groups: dict[str, int | None] = {}

    def load(self) -> dict[Key, Secret]:
        """The values that lie here. What is not whole, or nobody knows of, is removed. Raises `StateError`."""
        make_folder(self._folder, passable=True)
        try:
            listed = secrets.by_unit(SecretRefs.decode(self._index.read_bytes()).refs)
        except (OSError, ProtocolError):
            listed = {}
        values: dict[Key, Secret] = {}
        for unit, refs in listed.items():
            with contextlib.suppress(OSError):
                values |= {secrets.key_of(ref): _read(self._path(ref)) for ref in refs}
                self.placed[unit] = refs
        self._sweep()
        return values

    def place(
        self, unit: Unit, refs: tuple[SecretRef, ...], values: Mapping[Key, Secret], group: int | None = None
    ) -> str:
        """Make this all that lies here of a unit; nothing removes it. Gives what is wrong, or an empty text.

        `group`: of the user whom the service's program runs as. It may read what has no other owner or mode.
        """
        before = self.placed.get(unit, ())
        try:
            if refs:
                self._write(unit, refs, values, group)
            self.placed.pop(unit, None)
            if refs:
                self.placed[unit] = refs
            there = self._entries()
            for entry in {self._entry(ref) for ref in before} - there:
                entry.unlink(missing_ok=True)
            self._sweep()
            write_file(self._index, SecretRefs(tuple(ref for each in self.placed.values() for ref in each)).encode())
        except StateError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename or self._folder}: {error.strerror}"
        return ""

    def _write(self, unit: Unit, refs: tuple[SecretRef, ...], values: Mapping[Key, Secret], group: int | None) -> None:
        folder = self._folder / unit[0]
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if group is not None or _has_others(refs):
            self._folder.chmod(_PASSABLE)
        _make(folder, refs, group)
        self.groups[unit[0]] = group
        if not refs[0].group:
            for ref in refs:
                _write(folder / ref.file, values[secrets.key_of(ref)], ref, group)
            return
        whole = folder / f".{refs[0].group}.{secrets.digest(refs)}"
        _make(whole, refs, group)
        for ref in refs:
            _write(whole / ref.file, values[secrets.key_of(ref)], ref, group)
        link = folder / f".{refs[0].group}.link"
        link.unlink(missing_ok=True)
        link.symlink_to(whole.name)
        link.rename(folder / refs[0].group)

    def _sweep(self) -> None:
        """Take away what a crash left, older folders of groups, and folders of services that have no secrets."""
        there = self._entries()
        there |= {entry.parent / entry.readlink() for entry in there if entry.is_symlink()}
        for folder in [each for each in self._folder.iterdir() if each.is_dir()]:
            for entry in folder.iterdir():
                if entry in there:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            if not any(each.parent == folder for each in there):
                folder.rmdir()
                self.groups.pop(folder.name, None)

    def _entries(self) -> set[Path]:
        return {self._entry(ref) for refs in self.placed.values() for ref in refs}

    def _entry(self, ref: SecretRef) -> Path:
        """What stands in the folder of the service: the file, or the link of the group."""
        return self._folder / ref.service / (ref.group or ref.file)

    def _path(self, ref: SecretRef) -> Path:
        return self._folder / ref.service / ref.group / ref.file


def _has_others(refs: tuple[SecretRef, ...]) -> bool:
    return any(ref.owner or ref.mode & 0o040 for ref in refs)


def _make(folder: Path, refs: tuple[SecretRef, ...], group: int | None) -> None:
    """A folder of ours: 0700, or 0750 for the program's group. Other owners pass through it, and see no names."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if group is not None:
        os.chown(folder, -1, group)
    folder.chmod((0o700 if group is None else 0o750) | (0o011 if _has_others(refs) else 0))


def _write(path: Path, value: Secret, ref: SecretRef, group: int | None) -> None:
    """Raises `StateError` for an owner whom this host does not know."""
    if not ref.owner and ref.mode == FILE_MODE:
        write_file(path, value.reveal(), group=group)
        return
    ready = path.with_name(f".{path.name}.ready")
    write_file(ready, value.reveal())
    uid, gid = ids_of(ref.owner) if ref.owner else (-1, group if group is not None else -1)
    os.chown(ready, uid, gid)
    ready.chmod(ref.mode)
    ready.rename(path)


def _read(path: Path) -> Secret:
    with path.open("rb") as file:
        return Secret(file.read(_MOST_BYTES + 1))
