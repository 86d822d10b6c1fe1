"""From one mode to another without losing a request: through both at once, until everybody follows.

A port that takes plaintext only and one that takes TLS only have nothing in common, and proxies get their configuration
one after the other. So a port first takes both; then its callers change; then it takes only what they speak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handsel.mesh.access.holds import Holding
from handsel.model.access import Mode
from handsel.model.graph import Mesh

Port = tuple[str, int]
"""A service, and a port of its program (0: the main one)."""


@dataclass(frozen=True)
class Step:
    """What a port takes at the moment, and whether its callers speak plaintext to it."""

    takes: Mode
    plaintext: bool


Steps = Mapping[Port, Step]


def goal(mode: Mode) -> Step:
    """What a mode means once everybody follows."""
    return Step(mode, mode is Mode.DISABLE)


def following(now: Step, mode: Mode, *, settled: bool) -> Step:
    """The next step towards a mode. `settled`: every proxy has taken what the step before told it."""
    wanted = goal(mode)
    if now.plaintext != wanted.plaintext:
        if now.takes is not Mode.PERMISSIVE:
            return Step(Mode.PERMISSIVE, now.plaintext)
        return Step(Mode.PERMISSIVE, wanted.plaintext) if settled else now
    if now.takes is Mode.PERMISSIVE and not settled:
        return now
    return wanted


def goals(mesh: Mesh) -> dict[Port, Mode]:
    """What every port of the mesh is to take."""
    holding = Holding(mesh)
    return {port: holding.mode(mesh.members[port[0]], port[1]) for port in _ports(mesh)}


def advance(steps: Steps, wanted: Mapping[Port, Mode], *, settled: bool) -> dict[Port, Step]:
    """Every port one step on. A port that is new starts where it is to be."""
    return {
        port: following(steps[port], mode, settled=settled) if port in steps else goal(mode)
        for port, mode in wanted.items()
    }


def is_done(steps: Steps, wanted: Mapping[Port, Mode]) -> bool:
    """Whether every port is where it is to be."""
    return all(steps[port] == goal(mode) for port, mode in wanted.items())


def _ports(mesh: Mesh) -> Iterator[Port]:
    for name, service in mesh.members.items():
        yield name, 0
        yield from ((name, each.number) for each in service.more_ports)
