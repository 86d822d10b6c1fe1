"""`routes:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from handsel.documents.yaml import Path
from handsel.model.faults import Strict
from handsel.model.origin import Origin
from handsel.model.routing import Routes


class RoutesFile(Strict):
    """How requests to one callee are routed."""


def routes_faults(_content: dict[str, RoutesFile]) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `routes`."""
    yield from ()


def read_routes(_content: dict[str, RoutesFile], _origin: Callable[[Path], Origin]) -> tuple[Routes, ...]:
    """The rules, in the order of the file."""
    return ()
