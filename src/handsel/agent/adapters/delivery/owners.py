"""Users and groups of this host, as people name them: `web`, `web:tls`, `1000`, `1000:1000`."""

from __future__ import annotations

import grp
import os
import pwd

from handsel.agent.model import Owner
from handsel.errors import StateError


def ids_of(owner: str | Owner) -> tuple[int, int]:
    """User and group id; of an empty name our own. Without a group it is the user's first. Raises `StateError`."""
    if isinstance(owner, Owner):
        return owner.uid, owner.gid
    if not owner:
        return os.geteuid(), os.getegid()
    user, colon, group = owner.partition(":")
    uid, first = _user(user)
    return uid, _group(group) if colon else first


def _user(name: str) -> tuple[int, int]:
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        if name.isdecimal():
            return int(name), os.getegid()
        raise StateError(f"there is no user {name!r} on this host") from None
    return found.pw_uid, found.pw_gid


def _group(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StateError(f"there is no group {name!r} on this host") from None
