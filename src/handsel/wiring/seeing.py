"""What a server sees of its mesh beyond places: who talks to whom, how each proxy is, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handsel.authority.adapters.issuing import now
from handsel.authority.administration import Role
from handsel.authority.model import Host, Issuer
from handsel.link.report import Edge, Rejection, WorkloadReport
from handsel.model.graph import Mesh
from handsel.telemetry import graph, proxies
from handsel.telemetry.alerts import Condition
from handsel.telemetry.declared import declared, origin_of
from handsel.telemetry.edges import PlaintextReported, Reported
from handsel.telemetry.proxies import ProxySeen, Refusal, Staleness, in_one_line
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.alerting import Alerting, Known, Places, conditions
from handsel.wiring.leader import Leader


@dataclass(frozen=True)
class Around:
    """What is seen follows from these. `versions`: the number of each workload's configuration, by host and service."""

    mesh: Callable[[], Mesh]
    places: Callable[[], Places]
    issuers: Callable[[], tuple[Issuer, ...]]
    hosts: Callable[[], Awaitable[list[Host]]]
    versions: Callable[[], Awaitable[dict[tuple[str, str], int]]]


class Seeing:
    """Of one server. Counts are those that hosts told this server; with several, each host tells one of them."""

    def __init__(self, around: Around, leader: Leader) -> None:
        self._around = around
        self._reported = Reported()
        self._plain = PlaintextReported()
        self._stale = Staleness()
        self._watching: Counter[str] = Counter()
        sinks = lambda: around.mesh().telemetry.alerts  # noqa: E731
        self.alerting = Alerting(leader, sinks, str(around.mesh().trust_domain), self._look)

    def take(self, host: Host, edges: tuple[Edge, ...]) -> None:
        """What the proxies of a host counted."""
        members = self._around.mesh().members
        mine = [name for name in members if host.may_run(name)]
        self._reported.take(host.agent_id, edges, callers=mine)
        # Who calls without TLS is known by address only.
        plain = [edge for edge in edges if edge.callee in mine and edge.caller not in members]
        for (address, service), count in self._plain.new(host.agent_id, plain).items():
            self.plaintext_seen(service, in_one_line(address)[:60], count)

    async def following(self, host: str, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """The watch of a host, which counts as connected as long as it lasts."""
        self._watching[host] += 1
        try:
            async for frame in frames:
                yield frame
        finally:
            self._watching[host] -= 1
            await frames.aclose()

    def plaintext_seen(self, service: str, caller: str, count: int) -> None:
        """A permissive port of a service took connections without TLS."""
        self.alerting.plaintext_seen(service, caller, count)

    def acts(self) -> Acts:
        """What may be asked about it."""
        return {
            ("GET", "/v1/graph"): Act(Role.VIEWER, self._graph),
            ("GET", "/v1/proxies"): Act(Role.VIEWER, self._proxies),
        }

    async def notes(self) -> list[str]:
        """What `status` warns of."""
        return [*(each.summary for each in self.alerting.active), *self.alerting.problems]

    @property
    def alerts(self) -> dict[str, int]:
        """How many alerts are active, by kind."""
        return Counter(str(each.kind) for each in self.alerting.active)

    async def _graph(self, _asked: Asked) -> Any:
        mesh, hosts = self._around.mesh(), {host.agent_id for host in await self._around.hosts()}
        self._reported.keep_only(hosts)
        counted = self._reported.total()
        built = graph.build(
            declared(mesh, counted), counted, self.alerting.plaintext.counts, mesh.members,
            hosts=len(hosts), hosts_heard=len(self._reported.by_host),
        )  # fmt: skip
        return graph.to_json(built)

    async def _proxies(self, _asked: Asked) -> Any:
        mesh, versions = self._around.mesh(), await self._around.versions()
        hosts = {host.agent_id: host for host in await self._around.hosts()}
        places = self._around.places()
        self._note_stale(places, now())
        seen = [
            self._proxy(mesh, hosts[agent], report, versions.get((agent, report.service)))
            for agent, workloads in sorted(places.items())
            for report in workloads.values()
            if agent in hosts and report.service in mesh.members
        ]
        alerts = [{"kind": str(each.kind), "summary": each.summary} for each in self.alerting.active]
        missing = sorted(mesh.members.keys() - {each.service for each in seen})
        return {"proxies": proxies.to_json(seen, self._stale), "not_reported": missing, "alerts": alerts}

    def _proxy(self, mesh: Mesh, host: Host, report: WorkloadReport, version: int | None) -> ProxySeen:
        refusals = tuple(
            Refusal(each.names, each.reason, origin_of(mesh, report.service, each.names)) for each in report.rejections
        )
        connected = self._watching[host.agent_id] > 0
        return ProxySeen(
            report.service, host.agent_id, host.name, str(version or ""), report.in_sync, connected, refusals
        )

    async def _look(self, moment: datetime) -> list[Condition]:
        mesh, places = self._around.mesh(), self._around.places()
        self._note_stale(places, moment)

        def origin(service: str, rejection: Rejection) -> str:
            return origin_of(mesh, service, rejection.names)

        known = Known(mesh, places, await self._around.hosts(), self._around.issuers())
        return conditions(known, moment, origin)

    def _note_stale(self, places: Places, moment: datetime) -> None:
        found = {(agent, name): each.in_sync for agent, reports in places.items() for name, each in reports.items()}
        self._stale.look(found, moment)
