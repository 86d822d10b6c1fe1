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
_CLONE_NEWNET = 0x40000000
_HOSTS = b"/etc/hosts"
# Name services of the host that answer at sockets of the file system, past the network (nss-resolve(8), nscd(8)).
_RESOLVERS = (b"/run/systemd/resolve/io.systemd.Resolve", b"/run/nscd/socket")
# CAP_NET_ADMIN, _NET_RAW, _SYS_MODULE, _SYS_PTRACE, _SYS_ADMIN: with one of these, root finds a way out of a namespace.
_WAYS_OUT = (12, 13, 16, 19, 21)
_PR_CAPBSET_DROP = 24
# capget(2): three words for capabilities 0 to 31, of which the third are the inheritable ones, and three for the rest.
_CAPABILITY_VERSION, _INHERITABLE = 0x20080522, (2, 5)
_CANNOT_START = 127  # as shells have it


def become(owner: tuple[int, int] | None, hosts: str, network: str = "") -> None:
    """Take on network, names and user, for good. `hosts`: a file that takes the place of /etc/hosts, for us alone.

    Without the right to that, names lead nowhere and the variables of the environment still do, so that the program is
    started all the same, with a line that says so. `network`: the network namespace to live in, from which there is no
    way back. Raises `OSError` when network or user cannot be taken on.
    """
    if network:
        _enter_for_good(network)
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


def run(
    program: Sequence[str], environment: Mapping[str, str], owner: tuple[int, int] | None, hosts: str, network: str = ""
) -> NoReturn:
    """Become the program. Raises `OSError` when it cannot be started."""
    become(owner, hosts, network)
    os.execvpe(program[0], list(program), environment)  # noqa: S606  # no shell: the words are run as they are


def command(program: Sequence[str], owner: tuple[int, int] | None, hosts: str, network: str = "") -> list[str]:
    """The command that starts a program in this way; the program's own when there is nothing to take on."""
    if owner is None and not hosts and not network:
        return list(program)
    who = f"{owner[0]}:{owner[1]}" if owner else ""
    return [sys.executable, "-I", "-m", __name__, who, hosts, network, *program]


def enter_network(path: str) -> None:
    """Put the calling thread into a network namespace (setns(2)). Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET))
    finally:
        os.close(descriptor)


def _enter_for_good(network: str) -> None:
    enter_network(network)
    _mount_apart([(b"/dev/null", each) for each in _RESOLVERS if os.path.exists(each)])  # noqa: PTH110  # bytes
    _limit_capabilities()


def _limit_capabilities() -> None:
    """For whatever is executed from here on, root or not; we ourselves keep what we have, for the hosts file."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _WAYS_OUT:
        _check(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    # What is inheritable is not limited by that (capabilities(7)).
    header, words = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _check(libc.capget(header, words))
    for word in _INHERITABLE:
        words[word] = 0
    _check(libc.capset(header, words))


def _put_hosts(hosts: bytes) -> None:
    """The file in place of /etc/hosts."""
    _mount_apart([(hosts, _HOSTS)])


def _mount_apart(files: Sequence[tuple[bytes, bytes]]) -> None:
    """Files in place of others, in mounts of our own: what others mount later is still seen."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    for source, target in files:
        _check(libc.mount(source, target, None, ctypes.c_ulong(_MS_BIND), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """`python -m … UID:GID HOSTS NETWORK PROGRAM…`; each of the first three may be empty."""
    who, hosts, network, *program = sys.argv[1:]
    uid, _, gid = who.partition(":")
    try:
        run(program, os.environ, (int(uid), int(gid)) if who else None, hosts, network)
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"handsel: {program[0]} cannot be started: {error.strerror}\n")
        sys.exit(_CANNOT_START)


if __name__ == "__main__":
    main()
