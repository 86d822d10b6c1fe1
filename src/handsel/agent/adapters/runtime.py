"""The living agent: seven loops over one set of holdings.

- `_watch` takes frames from the server and keeps them.
- `_talk` asks for what is due and reports what has changed; it waits when the server is away.
- `_supervise` keeps an Envoy running for each workload.
- `_look_at_files` reads secrets that lie in files of the host.
- `_deliver` fetches the secrets that are granted to its services, and takes them away again.
- `_write_files` keeps keys, certificates and roots as files, for programs that want them so.
- `_keep_acme` orders and renews what services want of ACME CAs.

None of them needs another to be well: with the server gone, proxies are served and restarted from the holdings.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from handsel.agent import holdings as held
from handsel.agent import renewal, service, staples
from handsel.agent.adapters.acme_certificates import AcmeCertificates
from handsel.agent.adapters.acme_orders import OwnServer
from handsel.agent.adapters.deliveries import Deliveries
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.joining import recover
from handsel.agent.adapters.proxies import Proxies
from handsel.agent.adapters.seats import Seats
from handsel.agent.adapters.secret_delivery import SecretDelivery
from handsel.agent.adapters.secret_files import SecretFiles
from handsel.agent.adapters.workload_api import WorkloadApi
from handsel.agent.clock import LARGEST_SKEW, Clock
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment, Holdings, HostSettings, KeyPair, Owner, Ports, Start, Workload
from handsel.errors import Bug, HandselError, NotAuthorised, ProtocolError, StateError, Unreachable
from handsel.link.adapters.http_client import LinkClient
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import Bundle, Index, Rejection, RenewRequest, Report, WorkloadReport, time_of
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.store.adapters.files import write_file
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.endpoints import one_endpoint
from handsel.xds.names import Names
from handsel.xds.resources import ENDPOINT, Resource
from handsel.xds.snapshot import Snapshot

_log = structlog.get_logger("handsel.agent")
_FILES_SECONDS = 0.5
# A burst of changes (a start, a rotation) is one report.
_QUIET_SECONDS = 0.02
_SWAP_SECONDS = 3.0
_AGAIN_SECONDS, _LONGEST_PAUSE = 0.1, timedelta(seconds=10)
# After Envoy's main thread has acknowledged, its worker needs a moment to know.
_SPREAD_SECONDS = 0.05


class Agent:
    """The agent of one host, from `start` to `stop`. `problems` says what keeps it from being well."""

    def __init__(
        self, folder: AgentFolder, enrolment: Enrolment, binary: Path, settings: HostSettings = HostSettings()
    ) -> None:
        self._folder = folder
        self._address = settings.address
        self.clock = Clock(lambda: datetime.now(UTC), time.monotonic)
        self._seats = Seats(folder.layout.state, settings.address, has_names=settings.has_names)
        self.enrolment = enrolment
        self.holdings: Holdings = folder.load()
        self._own: KeyPair = folder.own()
        self._files = SecretFiles()
        self.secrets = SecretDelivery(folder.layout, self._owner_of, self._publish)
        if not self.secrets.whole:
            if self.holdings.sequence == 0:
                self.secrets.begin_anew()
            self.holdings = replace(self.holdings, sequence=0)
        self.deliveries = Deliveries(folder.layout.state / "deliveries", allow_commands=settings.allow_commands)
        self.acme = AcmeCertificates(
            folder.layout, now=self.clock.now, install=self._install_acme, own_server=self._own_server
        )
        self.holdings = self.acme.restore(self.holdings)
        self.ads: dict[str, AdsServer] = {}
        self._apis: dict[str, WorkloadApi] = {}
        self._look = asyncio.Event()  # something befell a proxy
        self._back = asyncio.Event()  # the server answers
        self.proxies = Proxies(binary, folder.layout, self._look.set, settings.drain)
        self._swapped: dict[tuple[str, str], Resource] = {}
        self._given: dict[str, Bundle] = {}  # what each proxy was given
        self._reported: Report | None = None
        self._changed = asyncio.Event()
        self._waiters: set[asyncio.Event] = set()
        self._client = self._connect()
        self._tasks: list[asyncio.Task[None]] = []
        self.server_problem, self.state_problem = "", ""
        self._refused = False

    async def start(self) -> None:
        """Serve what is held, then keep it new."""
        self.secrets.start()
        await self._reconcile()
        loops = (
            self._watch, self._talk, self._supervise, self._look_at_files, self._deliver, self._write_files,
            self._keep_acme,
        )  # fmt: skip
        self._tasks = [asyncio.create_task(_forever(loop), name=loop.__name__) for loop in loops]

    async def stop(self, *, drain_seconds: float | None) -> None:
        """End the loops and the sockets. With `drain_seconds` the Envoys end too, else the next agent adopts them."""
        self.acme.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if drain_seconds is not None:
            await self.proxies.drain(drain_seconds)
        self.proxies.leave()
        await asyncio.gather(*(ads.stop() for ads in self.ads.values()))
        await self._client.close()

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

    def ready(self, name: str) -> bool:
        """Whether the workload's Envoy has acknowledged everything it should have."""
        workload = self.holdings.workloads.get(name)
        return (
            workload is not None
            and workload.key_pair is not None
            and workload.resources is not None
            and name in self.ads
            and self.ads[name].in_sync
            and not self.missing_secrets(name)
        )

    def missing_secrets(self, name: str) -> dict[str, str]:
        """Secrets in files that the workload's proxy or program waits for, with what is wrong."""
        workload = self.holdings.workloads.get(name)
        wanted = held.wanted_files(workload) if workload else []
        problems = {each: self._files.problems.get(each, f"{each} is not read yet") for each in wanted}
        of_files = {each: text for each, text in problems.items() if each not in self._files.resources}
        return {**of_files, **self.secrets.missing(name)}

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
        return Start(variables, workload.owner, str(place.hosts) if hosts else "")

    def seat_problem(self, name: str) -> str:
        """Why a workload has not the user that it should have; empty when it has."""
        workload = self.holdings.workloads[name]
        if workload.assigned.user and not self._seats.has_users:
            return f"it should run as {workload.assigned.user}, which only root can do"
        return self._seats.problems.get(name, "")

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
            client = self._client
            try:
                async for frame in client.watch(self.holdings.sequence):
                    failures, self.server_problem = 0, ""
                    self._back.set()
                    self._heard(time_of(frame))
                    if frame.kind == Index.KIND and held.disagrees(self.holdings, Index.decode(frame.body)):
                        _log.warning("the server was set back to another state: everything is asked for again")
                        self._keep(replace(self.holdings, sequence=0))
                        break
                    if frame.sequence:
                        roots = self.holdings.roots
                        self.secrets.take(frame)
                        self._keep(held.take(self.holdings, frame))
                        await self._reconcile()
                        if self.holdings.roots != roots:  # the server is checked by those of now
                            await self._reconnect()
                            break
                failures = 0
            except HandselError as error:
                if client is not self._client:
                    continue  # we left it ourselves, for one with a newer certificate
                failures += 1
                await self._note_problem(error, failures)
            await asyncio.sleep(_pause(failures) if failures else _AGAIN_SECONDS)

    async def _talk(self) -> None:
        failures = 0
        while True:
            self._changed.clear()
            try:
                await self._renew_own()
                await self._report()
                await self._sign_due()
                await self._staple_due()
                failures, self.state_problem = 0, ""
            except HandselError as error:
                failures += 1
                await self._note_problem(error, failures)
                self._back.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_pause(failures)):
                        await self._back.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_until_due()):
                    await self._changed.wait()
            await asyncio.sleep(_QUIET_SECONDS)

    async def _supervise(self) -> None:
        while True:
            self.proxies.watch_over(self.ads)
            for ads in list(self.ads.values()):
                await ads.heal()
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

    def _owner_of(self, name: str) -> Owner | None:
        workload = self.holdings.workloads.get(name)
        return workload.owner if workload else None

    async def _deliver(self) -> None:
        await self.secrets.keep(lambda: self._client)

    async def _write_files(self) -> None:
        await self.deliveries.keep(lambda: self.holdings)

    async def _keep_acme(self) -> None:
        await self.acme.keep(lambda: self.holdings)

    def _install_acme(self, name: str, pair: KeyPair | None) -> None:
        if name in self.holdings.workloads:
            self._keep(self.holdings.with_workload(replace(self.holdings.workloads[name], acme=pair)))
            self._publish()

    def _own_server(self) -> OwnServer:
        joined = self.enrolment
        return OwnServer(f"{joined.url}/acme/directory", self.holdings.roots, joined.trust_domain.server_dns)

    # What they share

    def _heard(self, said: datetime | None) -> None:
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
        for name in self.holdings.workloads.keys() - self.ads.keys():
            self._apis[name] = WorkloadApi(name, lambda: self.holdings, self._fetch_jwt, now=self.clock.now)
            owner = self.holdings.workloads[name].owner
            self.ads[name] = AdsServer(
                self._folder.layout.of(name).sockets.ads, services=self._apis[name].handlers(),
                owner=(owner.uid, owner.gid) if owner else None, on_change=partial(self._noted, name),
                on_decision=partial(_note_decision, name),
            )  # fmt: skip
            await self.ads[name].start()
        for name in self.ads.keys() - self.holdings.workloads.keys():
            await self._take_away(name)
        self.secrets.look_again()
        self._publish()
        self.proxies.watch_over(self.ads)  # once their sockets are there

    async def _take_away(self, name: str) -> None:
        await self.proxies.take_away(name)
        self._apis.pop(name).notify()
        await self.ads.pop(name).stop()

    def _renew_refused_ports(self) -> None:
        """New ports for what Envoy could not bind; the server learns of them by the next report."""
        for name, ads in self.ads.items():
            refused = [r for r in ads.rejections if held.cannot_bind(Rejection(r.type_url, r.names, r.reason))]
            listeners = [name for r in refused for name in r.names if f"{name}: cannot bind" in r.reason]
            if listeners and name in self.holdings.workloads:
                _log.warning("ports in use", service=name, listeners=listeners)
                ads.rejections.clear()
                self._keep(self._seats.replace(self.holdings, name, listeners))

    def _publish(self) -> None:
        now = self.clock.now()
        for name, workload in self.holdings.workloads.items():
            if name in self.ads:
                self.ads[name].publish(self._snapshot(workload, now), self._names(workload))
                self._given[name] = self.holdings.bundle
        self._wake()

    def _names(self, workload: Workload) -> Names:
        names = held.names(workload, self.holdings)
        return replace(names, files=(*names.files, *self.secrets.names(workload.service)))

    def _snapshot(self, workload: Workload, now: datetime) -> Snapshot:
        wanted = held.proxy_snapshot(workload, self.holdings, self._files.resources, now)
        swapped = {each.key: each for (name, _), each in self._swapped.items() if name == workload.service}
        return Snapshot({**wanted.resources, **self.secrets.resources(workload.service), **swapped})

    async def _publish_and_wait(self, name: str, callee: str) -> None:
        """Publish, and wait until the workload's Envoy has the endpoints that it should have now."""
        self._publish()
        wanted = self.ads[name].snapshot.resources[ENDPOINT, callee]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self.changed(lambda: self.ads[name].has(ENDPOINT, callee, wanted.version)), _SWAP_SECONDS
            )
        await asyncio.sleep(_SPREAD_SECONDS)

    async def _sign_due(self) -> None:
        services = service.due(self.holdings, self.clock.now())
        if not services:
            return
        asked = service.ask(services)
        answer = await self._client.sign_batch(asked.request(self.holdings))
        self._keep(service.receive(self.holdings, asked, answer.chains))
        self._publish()

    async def _staple_due(self) -> None:
        for wanted in staples.due(self.holdings, self.clock.now()):
            answer = await self._client.ocsp(wanted.request)
            workload = self.holdings.workloads.get(wanted.service)
            if workload is not None:
                staple = staples.receive(wanted, answer, self.clock.now())
                self._keep(self.holdings.with_workload(replace(workload, staple=staple)))
                self._publish()

    async def _fetch_jwt(self, request: JwtRequest) -> JwtResponse:
        try:
            return await self._client.jwt(request)
        except Unreachable:  # another server may be there; a token that nobody got harms nobody
            return await self._client.jwt(request)

    async def _renew_own(self) -> None:
        """The agent's own certificate, with a new key; the old one is used until the new one is on disk."""
        # A certificate that is not taken any more has ended, was revoked while this host was banned, or is of a root
        # that was dropped.
        now, leaf = self.clock.now(), self._own.leaf
        no_use = self._refused or now >= leaf.not_after or not service.leads_to(self._own, self.holdings.roots)
        if not no_use and now < renewal.due(leaf, None, self.holdings.signing):
            return
        if no_use:
            self._own = await recover(self._folder, self.enrolment, self.holdings)
            self._refused = False
        else:
            key = PrivateKey.generate()
            answer = await self._client.renew(RenewRequest(csr.build(key, self._own.leaf.spiffe_id)))
            self._own = service.check_pair(key, answer.chain)
        self._folder.save_own(self._own)
        await self._reconnect()

    async def _report(self) -> None:
        report = Report(tuple(each for each in (self._report_of(w) for w in self.holdings.workloads.values()) if each))
        if report == self._reported or not report.workloads:
            return
        await self._client.report(report)
        self._reported = report

    def _report_of(self, workload: Workload) -> WorkloadReport | None:
        ads = self.ads.get(workload.service)
        rejections = tuple(Rejection(r.type_url, r.names, r.reason) for r in ads.rejections) if ads else ()
        return held.report(
            workload,
            self._folder.layout,
            self._address,
            in_sync=bool(ads and ads.in_sync),
            rejections=rejections,
            trust=self._given.get(workload.service),
        )

    async def _reconnect(self) -> None:
        before, self._client = self._client, self._connect()
        await before.close()

    def _connect(self) -> LinkClient:
        layout = self._folder.layout
        return LinkClient(
            self.enrolment.url,
            self.enrolment.trust_domain,
            self.holdings.roots,
            (layout.certificate, layout.key),
            others=self.enrolment.others,
        )

    def _keep(self, after: Holdings) -> None:
        if after == self.holdings:
            return
        self._folder.save(self.holdings, after)
        self.holdings = after
        for api in self._apis.values():
            api.notify()
        self._wake()

    def _noted(self, name: str) -> None:
        """An Envoy has said something."""
        if self.ads[name].rejections:
            self._look.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self.deliveries.wake()
        self.acme.wake()
        for waiter in self._waiters:
            waiter.set()

    def _seconds_until_due(self) -> float:
        moments = [service.next_due(self.holdings, self._own), staples.next_due(self.holdings)]
        until = min(each for each in moments if each) - self.clock.now()
        return min(max(until.total_seconds(), 0.05), 60.0)

    async def _note_problem(self, error: HandselError, failures: int) -> None:
        if isinstance(error, StateError):
            if str(error) != self.state_problem:
                _log.error("what came cannot be kept", problem=str(error))
            self.state_problem = str(error)
            return
        if str(error) != self.server_problem:
            _log.warning("the server is away", problem=str(error))
        self.server_problem = str(error)
        refused = isinstance(error, NotAuthorised) or (failures > 1 and await self._answers_without_certificate())
        if refused and not self._refused:
            self._refused = True
            self.secrets.doubt()
            self._changed.set()  # whichever loop heard of it: our own certificate is renewed by `_talk`

    async def _answers_without_certificate(self) -> bool:
        """Whether the server is there after all: a certificate that it does not take just ends the connection."""
        joined = self.enrolment
        try:
            async with LinkClient(joined.url, joined.trust_domain, self.holdings.roots, others=joined.others) as client:
                await client.challenge()
        except HandselError:
            return False
        return True


def _note_decision(service: str, name: str, granted: bool, reason: str) -> None:  # noqa: FBT001  # as it is called
    if not granted:
        _log.warning("a secret is refused", service=service, name=name, reason=reason)


async def _forever(loop: Callable[[], object]) -> None:
    """Run a loop again when it breaks: a mistake of ours must not leave a host without its agent."""
    while True:
        try:
            await loop()  # type: ignore[misc]  # every loop is a coroutine function
        except (ProtocolError, OSError, HandselError) as error:
            _log.error("a loop broke off", loop=loop.__name__, problem=str(error))
        except Exception:  # noqa: BLE001  # see above
            _log.exception("a loop broke off", loop=loop.__name__)
        await asyncio.sleep(1)


def _pause(failures: int) -> float:
    """Seconds until the server is asked again; not all hosts at the same moment."""
    return renewal.backoff(failures, _LONGEST_PAUSE).total_seconds() * random.uniform(0.8, 1.2)  # noqa: S311


def enrolled(enrolment: Enrolment, url: str | None) -> Enrolment:
    """The enrolment at another address of the same server."""
    return replace(enrolment, url=url) if url else enrolment
