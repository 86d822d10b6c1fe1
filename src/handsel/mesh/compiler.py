"""Compiling again after a change: what has the same view as before keeps its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from handsel.errors import Bug
from handsel.mesh.access.moving import Steps
from handsel.mesh.scope import Places, Scope
from handsel.mesh.service import compile_workload
from handsel.mesh.view import View
from handsel.model.graph import Mesh

Workload = tuple[str, str]
"""(host, service)."""


@dataclass(frozen=True)
class Compiled:
    """What compiling brought: the configuration of every workload, and which are new, gone, or kept in spite of a bug.

    `broken`: workloads whose configuration could not be made, with the reason; each keeps what it had.
    """

    bodies: Mapping[Workload, bytes]
    changed: tuple[Workload, ...]
    gone: tuple[Workload, ...]
    broken: Mapping[Workload, str]


class Compiler:
    """Remembers the last views and what was made of them."""

    def __init__(self, make: Callable[[View], bytes] = compile_workload) -> None:
        self._make = make
        self._mesh: Mesh | None = None
        self._views: dict[Workload, View] = {}
        self._bodies: dict[Workload, bytes] = {}

    def compile(
        self, mesh: Mesh, places: Places, withdrawn: Mapping[str, int] | None = None, steps: Steps | None = None
    ) -> Compiled:
        """The configuration of every workload that has a place. `withdrawn`: see `translate`; `steps`: see `Scope`."""
        self._mesh = mesh = shared(mesh, self._mesh)
        scope = Scope(mesh, places, withdrawn or {}, steps)
        changed: list[Workload] = []
        broken: dict[Workload, str] = {}
        for workload in scope.workloads:
            view = scope.view(*workload)
            if self._views.get(workload) == view:
                continue
            try:
                self._bodies[workload] = self._make(view)
            except Bug as bug:  # one that we cannot make must not keep the others from theirs
                broken[workload] = str(bug)
                continue
            self._views[workload] = view
            changed.append(workload)
        gone = tuple(self._views.keys() - set(scope.workloads))
        for workload in gone:
            del self._views[workload], self._bodies[workload]
        return Compiled(self._bodies, tuple(changed), gone, broken)


def shared(new: Mesh, old: Mesh | None) -> Mesh:
    """The new mesh with every part that is as it was being the very same object: views then compare by identity."""
    if old is None or old is new:
        return new
    return replace(
        new, **{each.name: _shared(getattr(new, each.name), getattr(old, each.name)) for each in fields(new)}
    )


def _shared(new: Any, old: Any) -> Any:
    """`old` where both are equal; in a mapping or a tuple of named things, entry by entry."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        return {key: _same(value, old.get(key)) for key, value in new.items()}
    if isinstance(new, tuple) and isinstance(old, tuple):
        by_name = {getattr(each, "name", ""): each for each in old}
        return tuple(_same(each, by_name.get(getattr(each, "name", ""))) for each in new)
    return _same(new, old)


def _same(new: Any, old: Any) -> Any:
    # Who was moved within a file has another origin, which counts for people and in no comparison.
    return old if new == old and getattr(new, "origin", None) == getattr(old, "origin", None) else new
