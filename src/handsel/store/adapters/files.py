"""Files and folders of a state: private, whole or absent, held by one process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from handsel.errors import StateError, StateInUse, UsageError
from handsel.pki.secret import Secret

_LONGEST_PASSWORD = 1024


def make_folder(folder: Path, *, passable: bool = False) -> None:
    """A folder of mode 0700, which is ours. Raises `StateError`.

    `passable`: it may be 0711, when others pass through it to what is theirs inside.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise StateError(
            f"the folder {folder} cannot be made: {error.strerror}",
            next_step="check the owner and mode of the folder above it, or name another with --state",
        ) from error
    if status.st_uid != os.geteuid() or status.st_mode & (0o066 if passable else 0o077):
        raise StateError(
            f"the folder {folder} belongs to somebody else or is open to others", next_step=f"chmod 700 {folder}"
        )


def read_password(path: Path) -> Secret:
    """The first line of a file that only its owner can read. Raises `UsageError`."""
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path} can be read by others", next_step=f"chmod 600 {path}")
        with path.open("rb") as file:
            password = file.read(_LONGEST_PASSWORD + 1).partition(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not 1 <= len(password) <= _LONGEST_PASSWORD:
        raise UsageError(f"{path} holds no password: one line of at most {_LONGEST_PASSWORD} bytes is wanted")
    return Secret(password)


def write_file(path: Path, content: bytes, *, group: int | None = None, public: bool = False) -> None:
    """A file of mode 0600, whole or absent: a new file, fsync, rename.

    `group`: who may read it too (0640); `public`: everybody may (0644).
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if group is not None:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o640)
        if public:
            os.fchmod(descriptor, 0o644)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


@contextlib.contextmanager
def hold_lock(path: Path, holder: str) -> Iterator[None]:
    """Hold a lock file with our pid in it. Raises `StateInUse` naming the process that holds it, or `StateError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError as error:
        raise StateError(
            f"there is no folder {path.parent}", next_step="is --state the folder of a server, or of an agent?"
        ) from error
    except OSError as error:
        raise StateError(
            f"{path} cannot be written: {error.strerror}",
            next_step="check the folder's owner and mode, or name another with --state",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
            raise StateInUse(
                f"{path.parent} is in use by {pid or 'another process'}",
                next_step="stop it first (handsel down), or name another folder with --state",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder}, pid {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
