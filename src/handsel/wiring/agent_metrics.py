"""The agent's door for metrics: on loopback, apart from its control socket, since Prometheus reads it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from handsel import __version__, settings
from handsel.agent.adapters.runtime import Agent
from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp
from handsel.door.asgi import Door, Request, Response
from handsel.errors import PortInUse
from handsel.telemetry.adapters.agent_scrape import agent_scrape
from handsel.telemetry.model import AgentMeasured, SecretMeasured, WorkloadMeasured


@dataclass(frozen=True)
class MetricsDoor:
    """Its port on loopback, 0: a free one. `may_move`: nobody wrote it down, so that another will do."""

    port: int = settings.AGENT_METRICS_PORT
    may_move: bool = True


@contextlib.asynccontextmanager
async def metrics_door(agent: Agent, wanted: MetricsDoor, on_bug: Callable[[Exception], None]) -> AsyncIterator[None]:
    """The door, for as long as this is open; the agent knows its address. Raises `PortInUse`."""
    try:
        listening = listen_tcp("127.0.0.1", wanted.port)
    except PortInUse:
        if not wanted.may_move:
            raise
        listening = listen_tcp("127.0.0.1", 0)

    async def measure_now() -> AgentMeasured:
        return await measure(agent)

    routes = {("GET", "/healthz"): _ok, ("GET", "/metrics"): agent_scrape(measure_now, __version__)}
    door = DoorServer(Door(routes, on_bug=on_bug), listening, None)
    await door.start()
    agent.metrics_url = f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
    try:
        yield
    finally:
        agent.metrics_url = ""
        await door.stop()


async def measure(agent: Agent) -> AgentMeasured:
    """What an agent knows now, its proxies asked."""
    counted = await agent.statistics.gather()
    workloads, secrets = [], []
    for name, workload in list(agent.holdings.workloads.items()):
        ads, proxy = agent.door(name), agent.proxies.by_name.get(name)
        workloads.append(
            WorkloadMeasured(
                name, bool(ads and ads.in_sync), proxy.restarts if proxy else 0, len(ads.rejections) if ads else 0,
                workload.key_pair.leaf.not_after if workload.key_pair else None, counted.get(name),
            )
        )  # fmt: skip
        secrets += [
            SecretMeasured(name, each.name, each.subscribers, each.current, each.last_ack, each.last_nack)
            for each in (ads.secrets() if ads else ())
        ]
    return AgentMeasured(not agent.server.problem, tuple(workloads), tuple(secrets))


async def _ok(_request: Request) -> Response:
    return Response(200, b"ok\n")
