"""The living agent: four loops over one set of holdings.

- `_watch` takes frames from the server and keeps them.
- `_talk` asks for what is due and reports what has changed; it waits when the server is away.
- `_supervise` keeps an Envoy running for each workload.
- `_look_at_files` reads secrets that lie in files of the host.

None of them needs another to be well: with the server gone, proxies are served and restarted from the holdings.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from handsel.agent import holdings as held
from handsel.agent import renewal, service
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.joining import recover
from handsel.agent.adapters.ports import chooser
from handsel.agent.adapters.proxies import Proxy, drain_all
from handsel.agent.adapters.secret_files import SecretFiles
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment, Holdings, KeyPair, Ports, Workload
from handsel.errors import Bug, HandselError, NotAuthorised, ProtocolError
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import Rejection, RenewRequest, Report, WorkloadReport
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.xds.adapters.grpc_server import AdsServer
from handsel.xds.endpoints import one_endpoint
from handsel.xds.resources import ENDPOINT, Resource
from handsel.xds.snapshot import Snapshot

_log = structlog.get_logger("handsel.agent")
_SUPERVISE_SECONDS = 0.1
_FILES_SECONDS = 0.5
# A burst of changes (a start, a rotation) is one report.
_QUIET_SECONDS = 0.02
_SWAP_SECONDS = 3.0
# After Envoy's main thread has acknowledged, its worker needs a moment to know.
_SPREAD_SECONDS = 0.05


class Agent:
    """The agent of one host, from `start` to `stop`. `problems` says what keeps it from being well."""

    def __init__(self, folder: AgentFolder, enrolment: Enrolment, binary: Path, address: str) -> None:
        self._folder = folder
        self._binary = binary
        self._address = address
        self.enrolment = enrolment
        self.holdings: Holdings = folder.load()
        self._own: KeyPair = folder.own()
        self._files = SecretFiles()
        self.ads: dict[str, AdsServer] = {}
        self.proxies: dict[str, Proxy] = {}
        self._swapped: dict[tuple[str, str], Resource] = {}
        self._given: dict[str, tuple[Certificate, ...]] = {}  # the roots that each proxy was given
        self._reported: Report | None = None
        self._changed = asyncio.Event()
        self._waiters: set[asyncio.Event] = set()
        self._client = self._connect()
        self._tasks: list[asyncio.Task[None]] = []
        self.server_problem = ""
        self._refused = False

    async def start(self) -> None:
        """Serve what is held, then keep it new."""
        await self._reconcile()
        loops = (self._watch, self._talk, self._supervise, self._look_at_files)
        self._tasks = [asyncio.create_task(_forever(loop), name=loop.__name__) for loop in loops]

    async def stop(self, *, drain_seconds: float | None) -> None:
        """End the loops and the sockets. With `drain_seconds` the Envoys end too, else the next agent adopts them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if drain_seconds is not None:
            await drain_all(self.proxies, drain_seconds)
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
                    await asyncio.wait_for(event.wait(), 0.5)
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
        """Secrets in files that the workload's proxy waits for, with what is wrong."""
        workload = self.holdings.workloads.get(name)
        wanted = held.wanted_files(workload) if workload else []
        problems = {each: self._files.problems.get(each, f"{each} is not read yet") for each in wanted}
        return {each: text for each, text in problems.items() if each not in self._files.resources}

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

    # The four loops

    async def _watch(self) -> None:
        failures = 0
        while True:
            try:
                async for frame in self._client.watch(self.holdings.sequence):
                    failures, self.server_problem = 0, ""
                    if frame.sequence:
                        roots = self.holdings.roots
                        self._keep(held.take(self.holdings, frame))
                        await self._reconcile()
                        if self.holdings.roots != roots:  # the server is checked by those of now
                            await self._reconnect()
                            break
                failures = 0
            except HandselError as error:
                failures += 1
                await self._note_server_problem(error, failures)
            await asyncio.sleep(renewal.backoff(failures).total_seconds() if failures else 0.1)

    async def _talk(self) -> None:
        failures = 0
        while True:
            self._changed.clear()
            try:
                await self._renew_own()
                await self._report()
                await self._sign_due()
                failures = 0
            except HandselError as error:
                failures += 1
                await self._note_server_problem(error, failures)
                await asyncio.sleep(renewal.backoff(failures).total_seconds())
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._seconds_until_due())
            await asyncio.sleep(_QUIET_SECONDS)

    async def _supervise(self) -> None:
        while True:
            self._watch_over_proxies()
            for proxy in list(self.proxies.values()):
                await proxy.limit_log()
            self._renew_refused_ports()
            await asyncio.sleep(_SUPERVISE_SECONDS)

    async def _look_at_files(self) -> None:
        while True:
            wanted = {name for workload in self.holdings.workloads.values() for name in held.wanted_files(workload)}
            if self._files.refresh(wanted):
                self._publish()
            await asyncio.sleep(_FILES_SECONDS)

    # What they share

    async def _reconcile(self) -> None:
        """Make the host as the holdings say: ports, sockets, snapshots."""
        self._choose_ports()
        for name in self.holdings.workloads.keys() - self.ads.keys():
            self.ads[name] = AdsServer(self._folder.layout.of(name).sockets.ads, on_change=self._wake)
            await self.ads[name].start()
        for name in self.ads.keys() - self.holdings.workloads.keys():
            await self._take_away(name)
        self._publish()
        self._watch_over_proxies()

    def _watch_over_proxies(self) -> None:
        """An Envoy for each workload, started once its socket is there."""
        for name in self.ads:
            if name not in self.proxies:
                self.proxies[name] = Proxy(self._binary, self._folder.layout.of(name))
            self.proxies[name].watch_over()

    async def _take_away(self, name: str) -> None:
        if name in self.proxies:
            await self.proxies.pop(name).drain(0)
        await self.ads.pop(name).stop()

    def _choose_ports(self) -> None:
        free = self._port_chooser()
        after = self.holdings
        for workload in self.holdings.workloads.values():
            after = after.with_workload(held.choose_ports(workload, free))
        self._keep(after)

    def _port_chooser(self) -> Callable[[], int]:
        taken = {port for w in self.holdings.workloads.values() if w.ports for port in w.ports.all()}
        taken |= {w.assigned.port for w in self.holdings.workloads.values()}
        return chooser(taken, self._address)

    def _renew_refused_ports(self) -> None:
        """New ports for what Envoy could not bind; the server learns of them by the next report."""
        for name, ads in self.ads.items():
            refused = [r for r in ads.rejections if held.cannot_bind(Rejection(r.type_url, r.names, r.reason))]
            listeners = [name for r in refused for name in r.names if f"{name}: cannot bind" in r.reason]
            if listeners and name in self.holdings.workloads:
                _log.warning("ports in use", service=name, listeners=listeners)
                ads.rejections.clear()
                workload = held.replace_ports(self.holdings.workloads[name], listeners, self._port_chooser())
                self._keep(self.holdings.with_workload(workload))

    def _publish(self) -> None:
        now = datetime.now(UTC)
        for name, workload in self.holdings.workloads.items():
            if name in self.ads:
                self.ads[name].publish(self._snapshot(workload, now))
                self._given[name] = self.holdings.roots
        self._wake()

    def _snapshot(self, workload: Workload, now: datetime) -> Snapshot:
        wanted = held.proxy_snapshot(workload, self.holdings, self._files.resources, now)
        swapped = {each.key: each for (name, _), each in self._swapped.items() if name == workload.service}
        return Snapshot({**wanted.resources, **swapped})

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
        services = service.due(self.holdings, datetime.now(UTC))
        if not services:
            return
        asked = service.ask(services)
        answer = await self._client.sign_batch(asked.request(self.holdings))
        self._keep(service.receive(self.holdings, asked, answer.chains))
        self._publish()

    async def _renew_own(self) -> None:
        """The agent's own certificate, with a new key; the old one is used until the new one is on disk."""
        # A certificate that is not taken any more has ended, was revoked while this host was banned, or is of a root
        # that was dropped.
        now, leaf = datetime.now(UTC), self._own.leaf
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
            roots=self._given.get(workload.service, ()),
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
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        for waiter in self._waiters:
            waiter.set()

    def _seconds_until_due(self) -> float:
        until = service.next_due(self.holdings, self._own) - datetime.now(UTC)
        return min(max(until.total_seconds(), 0.05), 60.0)

    async def _note_server_problem(self, error: HandselError, failures: int) -> None:
        if str(error) != self.server_problem:
            _log.warning("the server is away", problem=str(error))
        self.server_problem = str(error)
        refused = isinstance(error, NotAuthorised) or (failures > 1 and await self._answers_without_certificate())
        if refused and not self._refused:
            self._refused = True
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


def enrolled(enrolment: Enrolment, url: str | None) -> Enrolment:
    """The enrolment at another address of the same server."""
    return replace(enrolment, url=url) if url else enrolment
