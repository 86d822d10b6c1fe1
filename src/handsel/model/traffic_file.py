"""`traffic:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from handsel.documents.yaml import Path
from handsel.model.faults import Strict
from handsel.model.origin import Origin
from handsel.model.traffic import Traffic


class TrafficFile(Strict):
    """How callers speak to one callee."""


def traffic_faults(_content: dict[str, TrafficFile]) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `traffic`."""
    yield from ()


def read_traffic(
    _content: dict[str, TrafficFile], _origin: Callable[[Path], Origin], _absolute: Callable[[str], str]
) -> tuple[Traffic, ...]:
    """The rules, in the order of the file."""
    return ()
