"""What a server's mesh is: read from its file or folder and from what was applied to it, and replaced while it runs.

A mesh with faults changes nothing: the last good one stays in force, and `problem` says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from handsel.documents.yaml import Document
from handsel.errors import HandselError, InvalidFile, UsageError
from handsel.mesh.adapters.applied import ResourcesApplied, load_applied
from handsel.mesh.adapters.watching import changes_of
from handsel.model import applied
from handsel.model.applied import Applied, Change, ResourceId, What
from handsel.model.graph import Mesh
from handsel.store.adapters.sql import SqlStore
from handsel.wiring import mesh_files
from handsel.wiring.mesh_files import load_mesh_if_any
from handsel.wiring.storage import APPLIED

_log = structlog.get_logger("handsel.server")


@dataclass(frozen=True)
class Given:
    """Where a server's mesh comes from. `path` None: what was applied is all; `must_exist`: a person named it.

    `watch`: files that change are read again.
    """

    path: Path | None = None
    must_exist: bool = False
    watch: bool = False

    def load(self, resources: tuple[Applied, ...] = ()) -> Mesh:
        """The graph. Raises `InvalidFile` with every fault."""
        path = self.path or Path(mesh_files.MESH_FILE_NAME)
        return load_mesh_if_any(path, must_exist=self.must_exist, applied=resources)

    def watched(self) -> tuple[Path, ...]:
        """The files and folders from which the mesh is read."""
        if self.path is None:
            return ()
        try:
            return mesh_files.watched(mesh_files.find_sources(self.path))
        except InvalidFile:
            return (self.path,)


@dataclass(frozen=True)
class Wish:
    """What somebody wants to apply. `set_name`: the resources that belong together, for `prune`."""

    documents: tuple[Document, ...] = field(repr=False)
    set_name: str
    prune: bool = False


@dataclass(frozen=True)
class Outlook:
    """What an apply would do, or did."""

    mesh: Mesh = field(repr=False)
    changes: tuple[Change, ...]
    resources: tuple[Applied, ...] = field(repr=False)


class Configuration:
    """Keeps a server's mesh. `take` makes another one count."""

    def __init__(self, given: Given, store: SqlStore, mesh: Mesh, take: Callable[[Mesh], Awaitable[None]]) -> None:
        self._given = given
        self._store = store
        self._take = take
        self._one_at_a_time = asyncio.Lock()
        self._changed_elsewhere = asyncio.Event()
        self._applied: Mapping[ResourceId, Applied] = {}
        self.mesh = mesh
        self.problem: tuple[str, ...] = ()

    async def load(self) -> None:
        """At a start: the mesh with what was applied before. What no longer fits is told, and left out."""
        self._store.changes.on(APPLIED, self._changed_elsewhere.set, elsewhere=True)
        self._applied = await load_applied(self._store)
        if not self._applied:
            return
        try:
            self.mesh = self._read(tuple(self._applied.values()))
        except InvalidFile as error:
            self._note(error)

    async def listed(self) -> list[dict[str, str]]:
        """What is applied, for people."""
        found = (await load_applied(self._store)).values()
        return [{"resource": str(each.id), "place": f"{each.file}:{each.line}", "set": each.set} for each in found]

    async def outlook(self, wish: Wish) -> Outlook:
        """What applying would do. Raises `InvalidFile` with every fault: then nothing is changed."""
        new = applied.resources_of(wish.documents, wish.set_name)
        there = await load_applied(self._store)
        changes = applied.changes(there, new, prune=wish.set_name if wish.prune else None)
        after = tuple(applied.merged(there, new, changes))
        return Outlook(self._read(after), tuple(changes), after)

    async def apply(self, wish: Wish, by: str) -> Outlook:
        """Do it: durable first, then in force. Raises `InvalidFile` with every fault: then nothing was changed."""
        async with self._one_at_a_time:
            outlook = await self.outlook(wish)
            news = {each.id for each in outlook.changes if each.what in (What.CREATED, What.CONFIGURED)}
            gone = tuple(each.id for each in outlook.changes if each.what is What.PRUNED)
            if news or gone:
                written = tuple(each for each in outlook.resources if each.id in news)
                await self._store.commit((ResourcesApplied(written, gone, by),))
                self._applied = {each.id: each for each in outlook.resources}
                await self._accept(outlook.mesh)
            return outlook

    async def reread(self) -> None:
        """Files may have changed, or another server was told something."""
        async with self._one_at_a_time:
            try:
                self._applied = await load_applied(self._store)
                mesh = self._read(tuple(self._applied.values()))
                if mesh != self.mesh:
                    await self._accept(mesh)
                    _log.info("the mesh was read again", services=len(mesh.services))
                self.problem = ()
            except InvalidFile as error:
                self._note(error)

    async def follow(self) -> None:
        """For ever: what other servers were told counts here too."""
        while True:
            await self._changed_elsewhere.wait()
            self._changed_elsewhere.clear()
            try:
                await self.reread()
            except HandselError as error:
                _log.warning("what was applied elsewhere is not read yet", problem=str(error))
                self._changed_elsewhere.set()
                await asyncio.sleep(1)

    async def watch(self) -> None:
        """For ever, where that is wished: files that change are read again."""
        if not self._given.watch:
            return
        async for _ in changes_of(self._given.watched):
            await self.reread()

    def _read(self, resources: tuple[Applied, ...]) -> Mesh:
        mesh = self._given.load(resources)
        if mesh.trust_domain != self.mesh.trust_domain:
            raise UsageError(
                f"the trust domain of a running server stays {self.mesh.trust_domain}, and is not {mesh.trust_domain}",
                next_step="start another server for another trust domain",
            )
        return mesh

    async def _accept(self, mesh: Mesh) -> None:
        await self._take(mesh)
        self.mesh = mesh
        self.problem = ()

    def _note(self, error: InvalidFile) -> None:
        self.problem = tuple(str(fault) for fault in error.faults)
        _log.error("the mesh has faults, and the last good one stays in force", faults=list(self.problem))
