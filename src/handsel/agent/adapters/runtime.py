"""The living agent: eight loops over one set of holdings.

- `_watch` takes frames from the server and keeps them.
- `_talk` asks for what is due and reports what has changed; it waits when the server is away.
- `_supervise` keeps an Envoy running for each workload.
- `_look_at_files` reads secrets that lie in files of the host.
- `secrets.keep` fetches the secrets that are granted to its services, and takes them away again.
- `deliveries.keep` keeps keys, certificates and roots as files, for programs that want them so.
- `acme.keep` orders and renews what services want of ACME CAs.
- `_count` looks at what the proxies counted, which goes along with the reports.

None of them needs another to be well: with the server gone, proxies are served and restarted from the holdings.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from handsel.agent import edges, service, staples
from handsel.agent import holdings as held
from handsel.agent.adapters.acme.certificates import AcmeCertificates
from handsel.agent.adapters.delivery.deliveries import Deliveries
from handsel.agent.adapters.doors import Doors
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.host.seats import Seats
from handsel.agent.adapters.network_namespace import Namespaces
from handsel.agent.adapters.plaintext import PlaintextWatch
from handsel.agent.adapters.proxies import Proxies
from handsel.agent.adapters.secret_delivery import SecretDelivery
from handsel.agent.adapters.secret_files import SecretFiles
from handsel.agent.adapters.server_link import ServerLink, pause
from handsel.agent.adapters.statistics import Statistics
from handsel.agent.adapters.workload_api import WorkloadApi
from handsel.agent.clock import LARGEST_SKEW, Clock
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment, Holdings, HostSettings, KeyPair, Owner, Ports, Start, Workload
from handsel.errors import Bug, HandselError, ProtocolError, StateError
from handsel.link.messages import Frame, Index, time_of
from handsel.link.report import Edge, Report, WorkloadReport
from handsel.model.pod import INBOUND_PORT, Interception
from handsel.store.adapters.files import write_file
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.endpoints import one_endpoint
from handsel.xds.names import Names
from handsel.xds.network_namespace import within
from handsel.xds.pod import captured, door
from handsel.xds.resources import ENDPOINT, Resource
from handsel.xds.snapshot import Snapshot

_log = structlog.get_logger("handsel.agent")
_FILES_SECONDS = 0.5
# A burst of changes (a start, a rotation) is one report.
_QUIET_SECONDS = 0.02
_SWAP_SECONDS = 3.0
_AGAIN_SECONDS = 0.1
# After Envoy's main thread has acknowledged, its worker needs a moment to know.
_SPREAD_SECONDS = 0.05
_COUNT_SECONDS = 10.0


class Agent:
    """The agent of one host, from `start` to `stop`."""

    def __init__(self, folder: AgentFolder, enrolment: Enrolment, binary: Path | None, settings: HostSettings) -> None:
        self._folder = folder
        self._address = settings.address
        self._settings = settings
        self.clock = Clock(lambda: datetime.now(UTC), time.monotonic)
        self.holdings: Holdings = folder.load()
        self.server = ServerLink(folder, enrolment, self.holdings.roots, self._is_refused)
        self.state_problem = ""
        self._changed = asyncio.Event()
        self._look = asyncio.Event()  # something befell a proxy
        self._waiters: set[asyncio.Event] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._seats = Seats(
            folder.layout.state, settings.address, has_names=settings.has_names, in_pod=settings.captured
        )
        self.namespaces = Namespaces(folder.layout.state, self.callee_names, strict=settings.strict)
        self._doors = Doors(folder.layout, self._workload_api, self._noted)
        self.proxies = Proxies(binary, folder.layout, self._look.set, settings.drain, settings.envoy)
        self.statistics = Statistics(folder.layout, lambda: list(self.proxies.by_name))
        self._plaintext = PlaintextWatch(folder.layout)
        self.metrics_url = ""
        self._edges: tuple[Edge, ...] = ()
        self._files = SecretFiles()
        self.secrets = SecretDelivery(folder.layout, self._owner_of, self._publish)
        if not self.secrets.whole:
            if self.holdings.sequence == 0:
                self.secrets.begin_anew()
            self.holdings = replace(self.holdings, sequence=0)
        self.deliveries = Deliveries(folder.layout.state / "deliveries", allow_commands=settings.allow_commands)
        self.acme = AcmeCertificates(
            folder.layout, now=self.clock.now, install=self._install_acme, own_server=self.server.acme
        )
        self.holdings = self.acme.restore(self.holdings)
        self._swapped: dict[tuple[str, str], Resource] = {}
        self._reported: Report | None = None

    async def start(self) -> None:
        """Serve what is held, then keep it new."""
        self.secrets.start()
        await self._reconcile()
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "watch": self._watch,
            "talk": self._talk,
            "supervise": self._supervise,
            "look at files": self._look_at_files,
            "secrets": lambda: self.secrets.keep(lambda: self.server.client),
            "deliveries": lambda: self.deliveries.keep(lambda: self.holdings),
            "acme": lambda: self.acme.keep(lambda: self.holdings),
            "count": self._count,
        }
        self._tasks = [asyncio.create_task(_forever(name, loop), name=name) for name, loop in loops.items()]

    async def stop(self, *, drain_seconds: float | None) -> None:
        """End the loops and the sockets. With `drain_seconds` the Envoys end too, else the next agent adopts them."""
        self.acme.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if drain_seconds is not None:
            await self.proxies.drain(drain_seconds)
            self.namespaces.end()
        self.proxies.leave()
        self.namespaces.leave()
        await self._doors.close_all()
        await self.server.close()

    async def changed(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again at each change."""
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            while not condition():
                event.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await event.wait()
        finally:
            self._waiters.discard(event)

    @property
    def several_in_pod(self) -> bool:
        """Whether this is a pod that is more than one service: only one proxy can take what is led to it."""
        return self._settings.captured and len(self.holdings.workloads) > 1

    def ready(self, name: str) -> bool:
        """Whether the workload's Envoy has acknowledged everything it should have."""
        workload = self.holdings.workloads.get(name)
        return (
            workload is not None
            and workload.key_pair is not None
            and workload.resources is not None
            and name in self._doors.by_name
            and self._doors.by_name[name].in_sync
            and not self.missing_secrets(name)
        )

    def missing_secrets(self, name: str) -> dict[str, str]:
        """Secrets in files that the workload's proxy or program waits for, with what is wrong."""
        workload = self.holdings.workloads.get(name)
        wanted = held.wanted_files(workload) if workload else []
        problems = {each: self._files.problems.get(each, f"{each} is not read yet") for each in wanted}
        of_files = {each: text for each, text in problems.items() if each not in self._files.resources}
        named = workload.resources.secrets if workload and workload.resources else ()
        return {**of_files, **self.secrets.missing(name), **self.secrets.lacking(name, named)}

    @contextlib.asynccontextmanager
    async def swapped_endpoint(self, name: str, callee: str, port: int) -> AsyncIterator[None]:
        """For as long as it is open, the workload's Envoy has this loopback port as the callee's only endpoint."""
        self._swapped[name, callee] = one_endpoint(callee, "127.0.0.1", port)
        try:
            await self._publish_and_wait(name, callee)
            yield
        finally:
            del self._swapped[name, callee]
            await self._publish_and_wait(name, callee)

    def start_of(self, name: str) -> Start:
        """How the program of a workload is started. Raises `StateError`."""
        workload, place = self.holdings.workloads[name], self.layout.of(name)
        problem = self._seats.problems.get(name)
        if problem:
            raise StateError(problem)
        hosts = self._seats.hosts(workload)
        if hosts:
            write_file(place.hosts, hosts, public=True)
        variables = held.environment(workload, self.layout)
        return Start(variables, workload.owner, str(place.hosts) if hosts else "", self.namespaces.path(name))

    def seat_problem(self, name: str) -> str:
        """Why a workload has not the user that it should have; empty when it has."""
        workload = self.holdings.workloads[name]
        if workload.assigned.user and not self._seats.has_users:
            return f"it should run as {workload.assigned.user}, which only root can do"
        return self._seats.problems.get(name, "")

    def door(self, name: str) -> AdsServer | None:
        """The socket of a workload, if it is open."""
        return self._doors.by_name.get(name)

    @property
    def layout(self) -> Layout:
        """Where this agent keeps what."""
        return self._folder.layout

    def ports_of(self, name: str) -> Ports:
        """The ports of a workload. Raises `Bug` before they are chosen."""
        ports = self.holdings.workloads[name].ports
        if ports is None:
            raise Bug(f"the ports of {name} are not chosen yet")
        return ports

    # The loops

    async def _watch(self) -> None:
        failures = 0
        while True:
            client = self.server.client
            new = True
            try:
                async for frame in client.watch(self.holdings.sequence):
                    failures = 0
                    if new:  # the server behind it may have forgotten what it does not write down
                        new, self._reported = False, None
                        self._changed.set()
                    self.server.answered()
                    if not await self._take(frame):
                        break
                failures = 0
            except HandselError as error:
                if client is not self.server.client:
                    continue  # we left it ourselves, for one with a newer certificate
                failures += 1
                await self._note_problem(error, failures)
            await asyncio.sleep(pause(failures) if failures else _AGAIN_SECONDS)

    async def _talk(self) -> None:
        failures = 0
        while True:
            self._changed.clear()
            try:
                await self.server.renew(self.holdings, self.clock.now())
                await self._report()
                await self._sign_due()
                await self._staple_due()
                failures, self.state_problem = 0, ""
            except HandselError as error:
                failures += 1
                await self._note_problem(error, failures)
                await self.server.wait(failures)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_until_due()):
                    await self._changed.wait()
            await asyncio.sleep(_QUIET_SECONDS)

    async def _supervise(self) -> None:
        while True:
            self.proxies.watch_over(self._doors.by_name)
            await self._doors.heal()
            await self.proxies.limit_logs()
            self._renew_refused_ports()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.proxies.seconds_to_wait()):
                    await self._look.wait()
            self._look.clear()

    async def _look_at_files(self) -> None:
        while True:
            wanted = {name for workload in self.holdings.workloads.values() for name in held.wanted_files(workload)}
            if self._files.refresh(wanted):
                self._publish()
            await asyncio.sleep(_FILES_SECONDS)

    async def _count(self) -> None:
        while True:
            counted = await self.statistics.gather()
            found = (*edges.edges(counted), *await self._plaintext.look(counted))
            if found != self._edges:
                self._edges = found
                self._changed.set()
            await asyncio.sleep(_COUNT_SECONDS)

    def _owner_of(self, name: str) -> Owner | None:
        workload = self.holdings.workloads.get(name)
        return workload.owner if workload else None

    def callee_names(self, name: str) -> Mapping[str, str]:
        """What a workload may call, by its names, and at which loopback addresses."""
        workload = self.holdings.workloads.get(name)
        return held.callee_names(workload) if workload else {}

    def _install_acme(self, name: str, pair: KeyPair | None) -> None:
        if name in self.holdings.workloads:
            self._keep(self.holdings.with_workload(replace(self.holdings.workloads[name], acme=pair)))
            self._publish()

    # What they share

    async def _take(self, frame: Frame) -> bool:
        """Take in a frame of the watch. Returns whether the watch goes on. Raises `ProtocolError`, `StateError`."""
        self._heard(time_of(frame))
        if frame.kind == Index.KIND and held.disagrees(self.holdings, Index.decode(frame.body)):
            _log.warning("the server was set back to another state: everything is asked for again")
            self._keep(replace(self.holdings, sequence=0))
            return False
        if not frame.sequence:
            return True
        roots = self.holdings.roots
        self.secrets.take(frame)
        self._keep(held.take(self.holdings, frame))
        await self._reconcile()
        if self.holdings.roots == roots:
            return True
        await self.server.reconnect(self.holdings.roots)  # it is checked by those of now
        return False

    def _heard(self, said: datetime | None) -> None:
        """The server has said what time it is."""
        if said is None:
            return
        before = self.clock.now()
        self.clock.heard(said)
        if abs(self.clock.now() - before) > LARGEST_SKEW:
            _log.warning("the server has another time", problem=self.clock.problem)
            self._publish()

    async def _reconcile(self) -> None:
        """Make the host as the holdings say: ports, sockets, snapshots."""
        self._keep(self._seats.choose(self.holdings))
        await self.namespaces.keep(self.holdings.workloads)  # before a proxy is told to listen in one
        there = self._doors.by_name.keys()
        for name in self.holdings.workloads.keys() - there:
            await self._doors.open(name, self._owner_of(name))
        for name in there - self.holdings.workloads.keys():
            await self.proxies.take_away(name)
            await self._doors.close(name)
        self.secrets.look_again()
        self._publish()
        self.proxies.watch_over(self._doors.by_name)  # once their sockets are there

    def _renew_refused_ports(self) -> None:
        """New ports for what Envoy could not bind; the server learns of them by the next report."""
        for name in self._doors.by_name.keys() & self.holdings.workloads.keys():
            listeners = self._doors.take_unbound(name)
            if listeners:
                _log.warning("ports in use", service=name, listeners=listeners)
                self._keep(self._seats.replace(self.holdings, name, listeners))

    def _publish(self) -> None:
        now = self.clock.now()
        for name, workload in self.holdings.workloads.items():
            if name in self._doors.by_name:
                snapshot = self._snapshot(workload, now)
                self._doors.publish(name, snapshot, self._names(workload), self.holdings.bundle)
        self._wake()

    def _workload_api(self, name: str) -> WorkloadApi:
        return WorkloadApi(name, lambda: self.holdings, self.server.jwt, now=self.clock.now)

    def _names(self, workload: Workload) -> Names:
        names = held.names(workload, self.holdings)
        return replace(names, files=(*names.files, *self.secrets.names(workload.service)))

    def _snapshot(self, workload: Workload, now: datetime) -> Snapshot:
        lying = {**self._files.resources, **self.secrets.credentials(workload.service)}
        wanted = held.proxy_snapshot(workload, self.holdings, lying, now).resources
        network = self.namespaces.path(workload.service)
        if network and workload.ports:
            ports = frozenset({workload.ports.application, *workload.ports.more})
            wanted = {key: within(each, network, ports) for key, each in wanted.items()}
        if self._settings.captured:
            wanted = {key: captured(each) for key, each in wanted.items()}
            transparent = self._settings.pod is Interception.TPROXY
            entrance = door(INBOUND_PORT, six=":" in self._address, transparent=transparent)
            wanted[entrance.key] = entrance
        swapped = {each.key: each for (name, _), each in self._swapped.items() if name == workload.service}
        return Snapshot({**wanted, **self.secrets.resources(workload.service), **swapped})

    async def _publish_and_wait(self, name: str, callee: str) -> None:
        """Publish, and wait until the workload's Envoy has the endpoints that it should have now."""
        self._publish()
        door = self._doors.by_name[name]
        wanted = door.snapshot.resources[ENDPOINT, callee]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWAP_SECONDS):
                await self.changed(lambda: door.has(ENDPOINT, callee, wanted.version))
        await asyncio.sleep(_SPREAD_SECONDS)

    async def _sign_due(self) -> None:
        services = service.due(self.holdings, self.clock.now())
        if not services:
            return
        asked = service.ask(services)
        answer = await self.server.client.sign_batch(asked.request(self.holdings))
        self._keep(service.receive(self.holdings, asked, answer.chains))
        self._publish()

    async def _staple_due(self) -> None:
        for wanted in staples.due(self.holdings, self.clock.now()):
            answer = await self.server.client.ocsp(wanted.request)
            workload = self.holdings.workloads.get(wanted.service)
            if workload is not None:
                staple = staples.receive(wanted, answer, self.clock.now())
                self._keep(self.holdings.with_workload(replace(workload, staple=staple)))
                self._publish()

    async def _report(self) -> None:
        workloads = (self._report_of(each) for each in self.holdings.workloads.values())
        report = Report(tuple(each for each in workloads if each), self._edges)
        if report == self._reported or not report.workloads or not self._settings.proxies:
            return
        await self.server.client.report(report)
        self._reported = report

    def _report_of(self, workload: Workload) -> WorkloadReport | None:
        door = self._doors.by_name.get(workload.service)
        return held.report(
            workload,
            self._folder.layout,
            self._address,
            in_sync=bool(door and door.in_sync),
            rejections=self._doors.rejections(workload.service),
            trust=self._doors.given.get(workload.service),
        )

    def _keep(self, after: Holdings) -> None:
        if after == self.holdings:
            return
        self._folder.save(self.holdings, after)
        self.holdings = after
        self._doors.notify()
        self._wake()

    def _noted(self, name: str) -> None:
        """An Envoy has said something."""
        if self._doors.rejections(name):
            self._look.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self.deliveries.wake()
        self.acme.wake()
        for waiter in self._waiters:
            waiter.set()

    def _seconds_until_due(self) -> float:
        moments = [service.next_due(self.holdings, self.server.own), staples.next_due(self.holdings)]
        until = min(each for each in moments if each) - self.clock.now()
        return min(max(until.total_seconds(), 0.05), 60.0)

    async def _note_problem(self, error: HandselError, failures: int) -> None:
        if not isinstance(error, StateError):
            await self.server.failed(error, failures)
            return
        if str(error) != self.state_problem:
            _log.error("what came cannot be kept", problem=str(error))
        self.state_problem = str(error)

    def _is_refused(self) -> None:
        """The server takes our certificate no more: `_talk` makes another, whichever loop heard of it."""
        self.secrets.doubt()
        self._changed.set()


async def _forever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop again when it breaks: a mistake of ours must not leave a host without its agent."""
    while True:
        try:
            await loop()
        except (ProtocolError, OSError, HandselError) as error:
            _log.error("a loop broke off", loop=name, problem=str(error))
        except Exception:  # noqa: BLE001  # see above
            _log.exception("a loop broke off", loop=name)
        await asyncio.sleep(1)


def enrolled(enrolment: Enrolment, url: str | None) -> Enrolment:
    """The enrolment at another address of the same server."""
    return replace(enrolment, url=url) if url else enrolment
