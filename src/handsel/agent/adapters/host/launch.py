"""Starts a program as a user of its own, with names that lead to its sidecar: the last step before `exec`.

Small, and without imports from the rest: it becomes the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

# sched.h and sys/mount.h of Linux; `os.unshare` came with Python 3.12, and nothing there mounts.
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_SLAVE = 0x20000, 0x1000, 0x4000, 0x80000
_HOSTS = b"/etc/hosts"
_CANNOT_START = 127  # as shells have it


def become(owner: tuple[int, int] | None, hosts: str) -> None:
    """Take on names and user, for good. `hosts`: a file that takes the place of /etc/hosts, for this process alone.

    Without the right to that, names lead nowhere and the variables of the environment still do, so that the program is
    started all the same, with a line that says so. Raises `OSError` when the user cannot be taken on.
    """
    if hosts:
        try:
            _put_hosts(os.fsencode(hosts))
        except OSError as error:
            sys.stderr.write(f"handsel: names of services do not lead to the sidecar here: {error.strerror}\n")
    if owner is not None:
        uid, gid = owner
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)


def run(program: Sequence[str], environment: Mapping[str, str], owner: tuple[int, int] | None, hosts: str) -> NoReturn:
    """Become the program. Raises `OSError` when it cannot be started."""
    become(owner, hosts)
    os.execvpe(program[0], list(program), environment)  # noqa: S606  # no shell: the words are run as they are


def command(program: Sequence[str], owner: tuple[int, int] | None, hosts: str) -> list[str]:
    """The command that starts a program in this way; the program's own when there is nothing to take on."""
    if owner is None and not hosts:
        return list(program)
    who = f"{owner[0]}:{owner[1]}" if owner else ""
    return [sys.executable, "-I", "-m", __name__, who, hosts, *program]


def _put_hosts(hosts: bytes) -> None:
    """The file in place of /etc/hosts, in mounts of our own: what others mount later is still seen."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    _check(libc.mount(hosts, _HOSTS, None, ctypes.c_ulong(_MS_BIND), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """`python -m … UID:GID HOSTS PROGRAM…`; either of the first two may be empty."""
    who, hosts, *program = sys.argv[1:]
    uid, _, gid = who.partition(":")
    try:
        run(program, os.environ, (int(uid), int(gid)) if who else None, hosts)
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"handsel: {program[0]} cannot be started: {error.strerror}\n")
        sys.exit(_CANNOT_START)


if __name__ == "__main__":
    main()
