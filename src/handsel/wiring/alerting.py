"""Alerts: what the server knows becomes conditions, and each sink is told of them by a task of its own."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from handsel.authority.adapters.issuing import now
from handsel.authority.model import Host, Issuer, Standing
from handsel.errors import HandselError
from handsel.link.report import Rejection, WorkloadReport
from handsel.model.graph import Mesh
from handsel.model.telemetry import AlertKind, Sink
from handsel.telemetry.adapters.alert_sink import name_of, tell
from handsel.telemetry.alerts import Alerts, Condition, Notice, Plaintext
from handsel.telemetry.proxies import in_one_line
from handsel.wiring.leader import Leader

_log = structlog.get_logger("handsel.server")
_LOOK_SECONDS = 2.0
_MOST_WAITING = 1000
_TRIES, _LONGEST_PAUSE_SECONDS = 8, 60.0
# A workload's certificate is renewed by two thirds of its life: with a fifth left, renewal has failed.
_LEFT_OF_LEAF = 0.2
_LEFT_OF_CA = timedelta(days=14)
_MENDED_ALONE = timedelta(seconds=5)
Places = Mapping[str, Mapping[str, WorkloadReport]]


@dataclass(frozen=True)
class Known:
    """What a server knows at one moment, as far as it may be a reason for an alert."""

    mesh: Mesh
    places: Places
    hosts: Iterable[Host]
    issuers: Iterable[Issuer]


def conditions(known: Known, moment: datetime, origin: Callable[[str, Rejection], str]) -> list[Condition]:
    """All that is wrong, except plaintext. `origin`: where in a file a refused resource comes from."""
    names = {host.agent_id: host.name for host in known.hosts}
    banned = {host.agent_id for host in known.hosts if host.standing is Standing.BANNED}
    found = [*_of_authority(known.issuers, moment), *_of_hosts(known.hosts)]
    for agent, workloads in known.places.items():
        for report in workloads.values():
            if report.service in known.mesh.members and agent not in banned:
                where = names.get(agent, agent)
                found += _ending(report, where, _late(known.mesh), moment)
                found += _refused(report, where, origin)
    return found


def _late(mesh: Mesh) -> timedelta:
    """What is left of a leaf's life when its renewal has failed for some time."""
    usual = mesh.leaf_lifetime * _LEFT_OF_LEAF
    return min(usual, (mesh.leaf_lifetime - mesh.renew_after) / 2) if mesh.renew_after else usual


def _ending(report: WorkloadReport, host: str, late: timedelta, moment: datetime) -> Iterator[Condition]:
    ends = report.certificate_not_after
    if ends is None or ends - moment > late:
        return
    said = "has ended" if ends <= moment else f"ends at {ends:%H:%M:%S} UTC"
    yield Condition(
        AlertKind.EXPIRY, f"{report.service} on {host}",
        f"the certificate of {report.service} on {host} {said} and was not renewed",
        {"service": report.service, "host": host, "not_after": ends.isoformat()},
    )  # fmt: skip


def _refused(report: WorkloadReport, host: str, origin: Callable[[str, Rejection], str]) -> Iterator[Condition]:
    for each in report.rejections:
        names, place, reason = ", ".join(each.names), origin(report.service, each), in_one_line(each.reason)
        yield Condition(
            AlertKind.NACK, f"{report.service} on {host}: {names}",
            f"the proxy of {report.service} on {host} refuses {names}: {reason}",
            {"service": report.service, "host": host, "reason": reason, "origin": place},
            hold=_MENDED_ALONE,
        )  # fmt: skip


def _of_authority(issuers: Iterable[Issuer], moment: datetime) -> Iterator[Condition]:
    for issuer in issuers:
        for role, certificate in (("root", issuer.root), ("issuing CA", issuer.certificate)):
            ends = certificate.not_after
            if ends - moment < min(_LEFT_OF_CA, (ends - certificate.not_before) * _LEFT_OF_LEAF):
                yield Condition(
                    AlertKind.EXPIRY, f"{role} {certificate.serial}", f"the {role} ends at {ends:%Y-%m-%d %H:%M} UTC",
                    {"role": role, "serial": certificate.serial, "not_after": ends.isoformat()},
                )  # fmt: skip


def _of_hosts(hosts: Iterable[Host]) -> Iterator[Condition]:
    for host in hosts:
        if host.standing is Standing.QUARANTINED and is_replayed(host.cause):
            summary = f"{host.name} ({host.agent_id}) is in quarantine: {host.cause}"
            yield Condition(
                AlertKind.REPLAYED_TICKET, host.agent_id, summary,
                {"agent": host.agent_id, "host": host.name, "cause": host.cause},
            )  # fmt: skip


def is_replayed(cause: str) -> bool:
    """Whether a host is in quarantine since its ticket came again, and not because somebody put it there."""
    return cause.startswith("its ticket ") and " came again " in cause


class Alerting:
    """Looks every two seconds. Of several servers the one that leads tells; plaintext is told by who was told of it."""

    def __init__(
        self, leader: Leader, sinks: Callable[[], tuple[Sink, ...]], trust_domain: str,
        look: Callable[[datetime], Awaitable[list[Condition]]],
    ) -> None:  # fmt: skip
        self._leader = leader
        self._sinks = sinks
        self._trust_domain = trust_domain
        self._look = look
        self._alerts = Alerts()
        self._couriers: dict[Sink, Courier] = {}
        self.plaintext = Plaintext()

    @property
    def active(self) -> tuple[Condition, ...]:
        """What is wrong now."""
        return self._alerts.active

    @property
    def problems(self) -> list[str]:
        """Sinks that cannot be told, in words."""
        return [each.problem for each in self._couriers.values() if each.problem]

    def plaintext_seen(self, service: str, caller: str, count: int) -> None:
        """A port took connections without TLS. `caller`: who it was, as far as that is known."""
        self.plaintext.note(service, caller, count, now())

    async def keep(self) -> None:
        """For ever."""
        try:
            while True:
                try:
                    await self._once()
                except HandselError as error:
                    _log.warning("what is wrong cannot be seen now", problem=str(error))
                except Exception:  # noqa: BLE001  # a mistake of ours must not silence every alert
                    _log.exception("what is wrong cannot be seen now")
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await asyncio.gather(*(courier.stop() for courier in self._couriers.values()))

    async def _once(self) -> None:
        moment = now()
        found = self.plaintext.conditions(moment)
        if self._leader.is_leader:
            found += await self._look(moment)
        notices = self._alerts.look(found, moment)
        for notice in notices:
            _log.warning("alert", kind=notice.condition.kind, status=notice.status, summary=notice.condition.summary)
        await self._follow(self._sinks())
        for sink, courier in self._couriers.items():
            courier.take(notice for notice in notices if notice.condition.kind in sink.on)

    async def _follow(self, sinks: tuple[Sink, ...]) -> None:
        for sink in self._couriers.keys() - set(sinks):
            await self._couriers.pop(sink).stop()
        for sink in sinks:
            if sink not in self._couriers:
                self._couriers[sink] = Courier(sink, self._trust_domain)


@dataclass
class Courier:
    """Tells one sink, in order; what cannot be told is tried again for some minutes. No other waits for a slow one."""

    sink: Sink
    trust_domain: str
    problem: str = ""
    _waiting: deque[Notice] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._task = asyncio.create_task(self._run())

    def take(self, notices: Iterable[Notice]) -> None:
        """These are to be told."""
        self._waiting.extend(notices)
        if self._waiting:
            self._there.set()

    async def stop(self) -> None:
        """Tell nothing more; a program that runs is ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._there.wait()
            self._there.clear()
            while self._waiting:
                await self._tell(self._waiting.popleft())

    async def _tell(self, notice: Notice) -> None:
        body = json.dumps(notice.to_json(self.trust_domain)).encode()
        for failures in range(_TRIES):
            try:
                await tell(self.sink, body)
            except HandselError as error:
                self.problem = f"alerts are not told: {error}"
                _log.error("an alert could not be told", problem=str(error), tries=failures + 1)
                await asyncio.sleep(min(2.0**failures, _LONGEST_PAUSE_SECONDS))
            else:
                self.problem = ""
                return
        _log.error("an alert was given up", sink=name_of(self.sink), summary=notice.condition.summary)
