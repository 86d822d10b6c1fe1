"""A text file of somebody else's, changed in one step: its owner and mode stay, and a link to it stays a link."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from handsel.errors import UsageError


def read_text_file(path: Path, most: int) -> bytes:
    """Its bytes, at most one more than `most`. Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def replace_text_file(path: Path, before: bytes, after: bytes) -> None:
    """Other content, whole or not at all. Raises `UsageError`, also when it is no longer as it was `before`."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        status = target.stat()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(after)
                file.flush()
                ours = os.fstat(file.fileno())
                if (ours.st_uid, ours.st_gid) != (status.st_uid, status.st_gid):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                os.fsync(file.fileno())
            if target.read_bytes() != before:
                raise UsageError(f"{path} was changed by somebody else just now", next_step="try again")
            beside.rename(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; it is as it was") from error
