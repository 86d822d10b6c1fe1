"""systemd on this host: the unit's file, whether it runs, starting the service, acting as the service's user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from handsel.agent.unit import HEADER
from handsel.errors import StateError, UsageError

_BOOTED = Path("/run/systemd/system")
_TIMEOUT_SECONDS = 90.0


def runs() -> bool:
    """Whether this host was booted with systemd (sd_booted(3))."""
    return _BOOTED.is_dir()


def user_named(name: str | None) -> pwd.struct_passwd:
    """A user of this host; without a name the one that we are.

    Raises `UsageError` when there is none, or when we could not act as that user.
    """
    try:
        user = pwd.getpwuid(os.geteuid()) if name is None else pwd.getpwnam(name)
    except KeyError as error:
        next_step = f"make it: useradd --system --no-create-home {name}"
        raise UsageError(f"there is no user {name!r} on this host", next_step=next_step) from error
    if os.geteuid() not in (0, user.pw_uid):
        raise UsageError(f"only root can join as another user, {name}", next_step="run this as root")
    return user


@contextlib.contextmanager
def acting_as(user: pwd.struct_passwd, folder: Path) -> Iterator[None]:
    """As root: `folder`, made if need be, is the user's, and so is what is done within. Raises `StateError`."""
    try:
        if os.geteuid() != user.pw_uid and not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            os.chown(folder, user.pw_uid, user.pw_gid)
    except OSError as error:
        raise StateError(f"the folder {folder} cannot be made: {error.strerror}") from error
    with _as(user):
        yield


def unreadable(user: pwd.struct_passwd, paths: Iterable[str]) -> list[str]:
    """Those of the files that the user cannot read."""
    with _as(user):
        return [path for path in paths if not os.access(path, os.R_OK, effective_ids=True)]


@contextlib.contextmanager
def _as(user: pwd.struct_passwd) -> Iterator[None]:
    if os.geteuid() == user.pw_uid:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.initgroups(user.pw_name, user.pw_gid)
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def check_unit(path: Path) -> None:
    """Raise `UsageError` unless a unit can be written here: the folder is there, and no unit that is not ours."""
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for units", next_step="name another with --unit-folder")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path.parent} cannot be written", next_step="run this as root, or name --unit-folder")
    if path.exists() and HEADER not in path.read_text(errors="replace"):
        raise UsageError(f"{path} is there and was not written by handsel", next_step="put it aside first")


def write_unit(path: Path, text: str) -> None:
    """The unit's file, whole or absent, which everybody may read: nothing in it is secret. Raises `StateError`."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text)
        temporary.chmod(0o644)
        temporary.rename(path)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror}") from error


def start(path: Path) -> None:
    """Make the unit known to systemd, and start it now and at each boot. Raises `StateError` with what it said."""
    program = shutil.which("systemctl")
    if program is None:
        raise StateError("there is no systemctl on this host")
    for words in (["daemon-reload"], ["enable", "--now", str(path)]):
        try:
            done = subprocess.run(  # noqa: S603  # found on PATH, our own words, no shell
                [program, *words], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StateError(f"systemctl {words[0]} did not end: {error}") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise StateError(f"systemctl {words[0]}: {said}", next_step=f"see: journalctl -u {path.name}")
