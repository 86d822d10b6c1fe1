"""The agent's control socket: what `run`, `up` and `status` ask."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from handsel.agent import renewal
from handsel.agent.adapters.delivery.control import DeliveryDoor
from handsel.agent.adapters.runtime import Agent
from handsel.agent.model import Ports
from handsel.door.asgi import Handler, Request, Response
from handsel.errors import UsageError
from handsel.xds.facts import SecretFacts

_JSON = "application/json"
_LONGEST_WAIT_SECONDS = 25.0
_WITHOUT_PROGRAM = ("ingress", "egress", "balancer")
_WARMING = timedelta(seconds=10)


class ControlDoor:
    """Handlers of the control socket."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._deliveries = DeliveryDoor(agent.deliveries, lambda: agent.holdings)

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {("GET", "/v1/status"): self.status, ("GET", "/v1/start"): self.start, **self._deliveries.routes()}

    async def status(self, _request: Request) -> Response:
        """How this host is."""
        return _answer(
            {
                "agent": self._agent.server.enrolment.agent_id,
                "server": self._agent.server.enrolment.url,
                "metrics": self._agent.metrics_url,
                "server_problem": self._agent.server.problem,
                "state_problem": self._agent.state_problem,
                "clock_problem": self._agent.clock.problem,
                "workloads": [self._workload(name) for name in self._agent.holdings.workloads],
                "deliveries": self._deliveries.shown(),
            }
        )

    async def start(self, request: Request) -> Response:
        """How a program of a service is started, once its proxy is ready to take its calls."""
        name = request.query.get("service", "")
        agent = self._agent
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                # Until the server has said which services this host runs, none is unknown.
                await agent.changed(lambda: agent.holdings.sequence > 0)
                if name in agent.holdings.workloads:
                    await agent.changed(lambda: agent.ready(name))
        except TimeoutError as error:
            raise UsageError(self._why_not_ready(name)) from error
        if name not in agent.holdings.workloads:
            raise UsageError(self._why_not_ready(name))
        role = agent.holdings.workloads[name].assigned.role
        if role in _WITHOUT_PROGRAM:
            raise UsageError(f"{name} is an {role} gateway: it has no program, and its proxy runs by itself")
        start = agent.start_of(name)
        owner = [start.owner.uid, start.owner.gid] if start.owner else None
        return _answer(
            {
                "environment": dict(start.environment), "owner": owner, "hosts": start.hosts, "network": start.network,
            }
        )  # fmt: skip

    def _workload(self, name: str) -> dict[str, Any]:
        workload = self._agent.holdings.workloads[name]
        ads, proxy = self._agent.door(name), self._agent.proxies.by_name.get(name)
        pair, ports = workload.key_pair, workload.ports
        namespace, refusals = self._agent.namespaces.path(name), self._agent.namespaces.refusals(name)
        return {
            "service": name,
            "identity": str(workload.assigned.identity),
            "role": workload.assigned.role,
            "access_log": str(self._agent.layout.of(name).access_log),
            "ready": self._agent.ready(name),
            "in_sync": bool(ads and ads.in_sync),
            "secrets": [_secret(each) for each in ads.secrets()] if ads else [],
            "rejections": [{"names": r.names, "reason": r.reason} for r in ads.rejections] if ads else [],
            "missing": self._agent.missing_secrets(name),
            "user": {"uid": workload.owner.uid, "gid": workload.owner.gid} if workload.owner else None,
            "user_problem": self._agent.seat_problem(name),
            "acme": self._agent.acme.shown(name),
            "names": dict(workload.assigned.hosts) if ports and ports.addresses else {},
            "way": _way(ports, namespace),
            "namespace": namespace,
            "refused": {"calls": refusals.total, "last": refusals.last},
            "envoy": proxy.record.pid if proxy and proxy.record else None,
            "envoy_restarts": proxy.restarts if proxy else 0,
            "adopted": bool(proxy and proxy.adopted),
            "certificate": {
                "serial": pair.leaf.serial,
                "not_after": pair.leaf.not_after.isoformat(),
                "overdue": renewal.is_overdue(pair.leaf, self._agent.clock.now()),
            } if pair else None,
            "ports": {
                "application": ports.application, "mesh": ports.mesh, "proxy": ports.proxy,
                "callees": dict(ports.callees), "addresses": dict(ports.addresses),
            } if ports else None,
        }  # fmt: skip

    def _why_not_ready(self, name: str) -> str:
        if name not in self._agent.holdings.workloads:
            known = ", ".join(self._agent.holdings.workloads) or "none"
            return f"there is no service {name!r} on this host (known: {known})"
        missing = self._agent.missing_secrets(name)
        if missing:
            return f"{name} waits for a file: {next(iter(missing.values()))}"
        return f"the proxy of {name} is not ready: {self._agent.server.problem or 'see handsel status'}"


def _way(ports: Ports | None, namespace: str) -> str:
    """How a plain call of the program reaches its sidecar."""
    if namespace:
        return "network namespace"
    return "name and environment" if ports and ports.addresses else "environment"


def _secret(facts: SecretFacts) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "name": facts.name, "version": facts.version, "subscribers": facts.subscribers, "current": facts.current,
        "last_ack": facts.last_ack.isoformat() if facts.last_ack else None,
        "last_nack": facts.last_nack.isoformat() if facts.last_nack else None, "nack": facts.nack_text,
        "warming": facts.is_warming(now, _WARMING),
    }  # fmt: skip


def _answer(content: Any) -> Response:
    return Response(200, json.dumps(content).encode(), _JSON)
