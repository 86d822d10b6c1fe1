"""Users of their own for workloads: numbers without a name, the same after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

from handsel.agent.model import Owner
from handsel.errors import StateError

AUTO = "auto"
"""The user of a service that gets one of its own."""

# Below the ranges of containers (subuid(5) starts at 100000), above those of people, packages and systemd.
_RANGE = range(70_000, 80_000)


def own_user(place: str, service: str, taken: Collection[int], is_known: Callable[[int], bool]) -> Owner:
    """A user for a service that nobody else has. `place` tells one state folder of a machine from another.

    `taken`: those of the other services; `is_known` says whether the machine knows a user by this number. Raises
    `StateError` when there is none left.
    """
    start = int.from_bytes(hashlib.sha256(f"{place}\0{service}".encode()).digest()[:4], "big")
    for step in range(len(_RANGE)):
        number = _RANGE[(start + step) % len(_RANGE)]
        if number not in taken and not is_known(number):
            return Owner(number, number)
    raise StateError(f"every user from {_RANGE.start} to {_RANGE.stop - 1} is in use")
