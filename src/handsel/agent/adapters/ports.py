"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

from handsel.errors import StateError

# Below the range from which the kernel takes ports for outgoing connections (32768 on Linux), which would take them away.
_RANGE = range(15_000, 32_000)
_ATTEMPTS = 1_000


def chooser(taken: set[int], address: str = "127.0.0.1") -> Callable[[], int]:
    """A function that gives a port nobody listens on, never twice the same, and none of `taken`."""
    given = set(taken)

    def free() -> int:
        for _ in range(_ATTEMPTS):
            port = random.choice(_RANGE)  # noqa: S311  # not a secret
            if port not in given and is_free(port, address):
                given.add(port)
                return port
        raise StateError(f"no free port was found between {_RANGE.start} and {_RANGE.stop}")

    return free


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether nobody listens on this port now."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
