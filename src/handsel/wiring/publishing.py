"""From the mesh file and what agents report to what each host is told: compiled anew whenever one of them changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Host
from handsel.errors import HandselError
from handsel.link.messages import Bundle, Resources
from handsel.link.report import Report, WorkloadReport
from handsel.link.resume import Key, Publish, Published
from handsel.mesh import service as mesh_service
from handsel.mesh.adapters.publications import Publications
from handsel.mesh.adapters.tables import PlacesReported, Withdrawn, load_places, load_withdrawn
from handsel.mesh.adapters.watch_http import Watches
from handsel.mesh.compiler import Compiler, Workload
from handsel.mesh.view import Seat, seat_of
from handsel.model.graph import Mesh
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.leader import Leader
from handsel.wiring.moving import Moving
from handsel.wiring.storage import PLACES, PUBLICATIONS
from handsel.xds.credential import group_of

_log = structlog.get_logger("handsel.server")
_NO_HOST = ""
"""What servers tell each other is published for nobody."""
_SETTLE_SECONDS = 0.2
"""What other servers changed at the same time is heard of first, so that nothing older is published for a moment."""


@dataclass(frozen=True)
class Told:
    """What the hosts are told beside their configuration: whom to believe, and whom no longer.

    `withdrawn`: the identities of which a certificate was revoked, with a number that grows with each revocation.
    """

    mesh: Callable[[], Mesh]
    bundle: Callable[[], Bundle]
    withdrawn: Callable[[], Mapping[str, int]]


class Publishing:
    """Keeps the publications of all hosts. `places` is what they reported, by host and service."""

    def __init__(self, store: SqlStore, directory: Directory, leader: Leader, told: Told) -> None:
        self._store = store
        self._directory = directory
        self._leader = leader
        self._told = told
        self._publications = Publications(store)
        self._published = Published()
        self._compiler = Compiler()
        self._moving = Moving()
        self._next_step: asyncio.Task[None] | None = None
        self._compiling = asyncio.Lock()
        self._others_changed = asyncio.Event()
        self.places: dict[str, dict[str, WorkloadReport]] = {}
        self._withdrawn: dict[str, int] = {}
        self._units: dict[str, frozenset[str]] = {}
        self._written: dict[str, dict[str, WorkloadReport]] = {}
        self._due: set[Workload] = set()  # compiled, and not committed yet
        self.beside: Callable[[], Awaitable[list[Publish]]] = _nothing
        """What hosts are told before their configuration, such as which secrets they get."""
        self.watches = Watches(self._publications.since)
        store.changes.on(PUBLICATIONS, self.watches.notify, elsewhere=True)
        for topic in (PUBLICATIONS, PLACES):
            store.changes.on(topic, self._others_changed.set, elsewhere=True)

    async def load(self) -> None:
        """Read what hosts reported before, here or to another server."""
        async with self._compiling:
            self.places = await load_places(self._store)
            if self.places:  # else this is the first start, and nobody is to be taken along
                published = await self._publications.since(_NO_HOST, 0)
                self._moving.restore(next((each.body for each in published if each.kind == Moving.KIND), b""))
            self._withdrawn = await load_withdrawn(self._store)

    async def compile(self) -> None:
        """Publish what follows from the mesh and the reported places; what has not changed is not sent again."""
        async with self._compiling:
            await self._publish()

    async def take_report(self, host: Host, report: Report) -> None:
        """A host says where its workloads are. What is not registered to it does not count."""
        mesh = self._told.mesh()
        mine = tuple(each for each in report.workloads if each.service in mesh.members and host.may_run(each.service))
        async with self._compiling:
            places = {workload.service: workload for workload in mine}
            known, written = self.places.get(host.agent_id), self._written.get(host.agent_id)
            if places == known == written:
                return  # only what its proxies counted is new
            self.places[host.agent_id] = places
            reported = PlacesReported(host.agent_id, mine)
            if self._next_step is None and _seats(places) == _seats(known) == _seats(written):
                await self._store.commit((reported,))  # how its proxies are: no configuration depends on that
            else:
                await self._publish(reported)
            self._written[host.agent_id] = places

    def units_used(self) -> Mapping[str, frozenset[str]]:
        """The groups of secrets that the proxy of each service uses as credentials."""
        return self._units

    async def versions(self) -> dict[Workload, int]:
        """The number of each workload's configuration: a newer one has a higher."""
        return await self._publications.sequences(Resources.KIND)

    async def follow_others(self) -> None:
        """For ever: what another server was told counts here too; the leader mends what was compiled of half of it."""
        while True:
            await self._others_changed.wait()
            self._others_changed.clear()
            try:
                await self.load()
                if self._leader.is_leader:
                    await asyncio.sleep(_SETTLE_SECONDS)
                    await self.compile()
            except HandselError as error:
                _log.warning("what other servers changed is not read yet", problem=str(error))
                self._others_changed.set()
                await asyncio.sleep(1)

    async def _publish(self, *writes: object) -> None:
        # Kept for ever: a number that went down again would drain connections for nothing.
        newer = {name: n for name, n in self._told.withdrawn().items() if n > self._withdrawn.get(name, 0)}
        self._withdrawn |= newer
        steps = self._moving.steps(self._told.mesh(), self.places, asyncio.get_running_loop().time())
        compiled = self._compiler.compile(self._told.mesh(), self.places, self._withdrawn, steps)
        self._moving.told(compiled.changed)
        if self._moving.pause is not None and self._next_step is None:
            self._next_step = asyncio.get_running_loop().create_task(self._step_later(self._moving.pause))
        if compiled.changed or compiled.gone:
            self._units = _units_used(compiled.bodies)
        for workload, why in compiled.broken.items():
            _log.error("a proxy keeps its old configuration", host=workload[0], service=workload[1], problem=why)
        to_all = [*await self.beside(), *await self._to_hosts()]
        rows = await self._publications.after(self._published.sequence)
        for sequence, each in rows:
            self._published.note(sequence, each)
        # What others published may not be what we would: it is looked at too.
        self._due |= set(compiled.changed) | {(each.host, each.key) for _, each in rows if each.kind == Resources.KIND}
        due = sorted(self._due & compiled.bodies.keys())
        ours = [Publish(*_resources(each), compiled.bodies[each]) for each in due]
        if body := self._moving.body():
            to_all.append(Publish(_NO_HOST, Moving.KIND, "", body))
        wanted = [*to_all, *ours]
        everything = {each.key_of for each in to_all} | {_resources(each) for each in compiled.bodies}
        changes = [*self._published.differing(wanted), *self._published.gone(everything)]
        await self._store.commit((*writes, *(Withdrawn(*each) for each in newer.items()), *changes))
        self._due.clear()
        self.watches.notify()

    async def _step_later(self, pause: float) -> None:
        await asyncio.sleep(pause)
        self._next_step = None
        try:
            await self.compile()
        except HandselError as error:
            _log.warning("a change of modes waits", problem=str(error))

    async def _to_hosts(self) -> list[Publish]:
        """What each host is told apart from configuration: its services, and whom to believe."""
        mesh, bundle = self._told.mesh(), self._told.bundle().encode()
        told: list[Publish] = []
        for host in await self._directory.hosts():
            services = [name for name in mesh.members if host.may_run(name)]
            assignment = mesh_service.assign(mesh, services)
            told.append(Publish(host.agent_id, assignment.KIND, "", assignment.encode()))
            # Before the configuration: whoever is drained must find the new list when it comes back.
            told.append(Publish(host.agent_id, Bundle.KIND, "", bundle))
        return told


def _units_used(bodies: Mapping[Workload, bytes]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for (_, service), body in bodies.items():
        if b"credential" in body:
            units = {group_of(name) for name in Resources.decode(body).secrets} - {""}
            found[service] = found.get(service, frozenset()) | units
    return found


def _seats(places: Mapping[str, WorkloadReport] | None) -> dict[str, Seat] | None:
    """The part of a host's report on which configuration depends."""
    return None if places is None else {name: seat_of(each) for name, each in places.items()}


def _resources(workload: Workload) -> Key:
    host, service = workload
    return (host, Resources.KIND, service)


async def _nothing() -> list[Publish]:
    return []
