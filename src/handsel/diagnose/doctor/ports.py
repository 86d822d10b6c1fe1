"""Ports: who listens where the mesh file, and the host's workloads, want to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handsel.diagnose.doctor.model import Check, Group, few

_GROUP = Group("ports")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket. `session`: of its process; 0 and an empty program when that cannot be told."""

    address: str
    port: int
    inode: int
    pid: int = 0
    session: int = 0
    program: str = ""

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})" if self.pid else "a process of another user's"


@dataclass(frozen=True)
class Wanted:
    """A port that is wanted. `starts`: by a program that `up` would start; `runs`: whoever wants it runs already."""

    port: int
    purpose: str
    starts: bool = False
    runs: bool = False


def checks(wanted: Iterable[Wanted], listeners: Iterable[Listener]) -> list[Check]:
    """The checks of all ports; `listeners` is everything that listens on this host."""
    there = list(listeners)
    by_port = {each.port: each for each in wanted}
    if not by_port:
        return [_GROUP.skipped("ports", "no port is written down or chosen yet")]
    found = [_port(each, [one for one in there if one.port == each.port]) for each in by_port.values()]
    wrong = [check for check in found if check is not None]
    used = {each.port for each in there} & by_port.keys()
    fine = len(by_port) - len(wrong)
    well = [_GROUP.ok("ports", f"{fine} of {len(by_port)} ports as they should be; {len(used)} are listened on")]
    return [*(well if fine else []), *wrong]


def _port(wanted: Wanted, there: list[Listener]) -> Check | None:
    name = f"port {wanted.port}"
    if owners := _two_owners(there):
        return _GROUP.failure(
            name,
            f"{wanted.purpose}: two owners, {few(map(str, owners))}",
            "with SO_REUSEPORT both may listen, and the kernel hands each connection to one of them, as it likes",
            "end the one that should not be there",
        )
    if there and wanted.starts and not wanted.runs:
        return _GROUP.failure(
            name,
            f"{wanted.purpose}: in use by {there[0]}",
            "`up` starts that service's program, which could not listen",
            "end that process, or write another port, or none, in the mesh file",
        )
    return None


def _two_owners(there: list[Listener]) -> list[Listener]:
    """One listener for each of the unrelated programs that listen on the same address; empty when there is just one.

    Workers of one program share its socket, or its session.
    """
    for first in there:
        for second in there:
            if first.inode < second.inode and _overlap(first.address, second.address) and _strangers(first, second):
                return [first, second]
    return []


def _overlap(first: str, second: str) -> bool:
    if (":" in first) != (":" in second):
        return False
    return first == second or first in _EVERYWHERE or second in _EVERYWHERE


def _strangers(first: Listener, second: Listener) -> bool:
    return first.pid == 0 or second.pid == 0 or first.session != second.session
