"""Free ports on loopback."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from pathlib import Path

from handsel.errors import StateError

# Below the kernel's range for outgoing connections (from 32768 on Linux), which would take them away.
_RANGE = range(15_000, 32_000)
_ATTEMPTS = 1_000
# Two processes that were seeded alike would choose the same.
_random = random.SystemRandom()


def chooser(taken: set[int], address: str = "127.0.0.1") -> Callable[[], int]:
    """A function that gives a port nobody listens on, never twice the same, and none of `taken`."""
    given = set(taken)

    def free() -> int:
        for _ in range(_ATTEMPTS):
            port = _random.choice(_RANGE)
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


def holder(port: int) -> str:
    """Who listens on this TCP port, as `python3, pid 123`; empty when that cannot be told (proc(5), /proc/net/tcp)."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _holds(process, inodes):
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()}, pid {process.name}"
    return ""


def _listening(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    fields = [line.split() for line in lines]
    # Field 1 is the local address in hex, field 3 the state (0A: listening), field 9 the inode.
    return [row[9] for row in fields if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(each.readlink()) in {f"socket:[{i}]" for i in inodes} for each in (process / "fd").iterdir())
    except OSError:
        return False
