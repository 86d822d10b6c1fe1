"""What this process may do on its host, and the users that the host knows."""

from __future__ import annotations

import os
import pwd
import random
from collections.abc import Callable
from pathlib import Path

from handsel.agent.adapters.host.ports import is_free
from handsel.agent.model import Owner
from handsel.agent.users import AUTO, own_user
from handsel.errors import StateError

# capabilities(7)
_CHOWN, _SETGID, _SETUID, _SETPCAP, _BIND, _NETWORK, _ADMIN = 0, 6, 7, 8, 10, 12, 21
_HTTP = 80
_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_random = random.SystemRandom()


def may_set_users() -> bool:
    """Whether a program can be started as another user, and be given files of its own."""
    return _has(_CHOWN, _SETGID, _SETUID)


def may_use_usual_ports() -> bool:
    """Whether a proxy can listen at ports such as 80, to which names lead."""
    return _has(_BIND)


def usual_ports_are_free() -> bool:
    """Whether anybody may listen at them here, as in a pod that says so (ip(7), ip_unprivileged_port_start)."""
    try:
        return int(_UNPRIVILEGED.read_text()) <= _HTTP
    except (OSError, ValueError):
        return False


def may_set_names() -> bool:
    """The same, and whether this process can give a program names of its own, which takes a mount."""
    return _has(_BIND, _ADMIN)


def may_isolate() -> bool:
    """Whether programs can be given network namespaces of their own, with names and a firewall in them."""
    return _has(_SETPCAP, _BIND, _NETWORK, _ADMIN)


def find_owner(user: str, place: Path, service: str, taken: set[int]) -> Owner:
    """Whom a service's program runs as: one of its own for `auto`, else the one of this name. Raises `StateError`."""
    if user == AUTO:
        return own_user(str(place.absolute()), service, taken, _is_known)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise StateError(
            f"{service} is to run as {user}, a user that this host does not know",
            next_step=f"useradd --system {user}, or write `user: auto`",
        ) from error
    return Owner(entry.pw_uid, entry.pw_gid)


def address_chooser(taken: set[str]) -> Callable[[], str]:
    """A function that gives loopback addresses of nobody, where port 80 can be had; all of 127.0.0.0/8 is loopback."""
    given = set(taken)

    def free() -> str:
        for _ in range(1000):
            address = f"127.{_random.randrange(64, 128)}.{_random.randrange(256)}.{_random.randrange(1, 255)}"
            if address not in given and is_free(_HTTP, address):
                given.add(address)
                return address
        raise StateError("no loopback address is free at port 80")

    return free


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _has(*capabilities: int) -> bool:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return os.geteuid() == 0
    effective = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return all(effective >> each & 1 for each in capabilities)
