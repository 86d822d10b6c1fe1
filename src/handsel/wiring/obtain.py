"""The initializer: an agent that runs until this host's services have what they need in files, and then ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from handsel.agent.adapters.runtime import Agent
from handsel.agent.model import HostSettings
from handsel.errors import StateError, Unreachable
from handsel.wiring.agent import run_agent
from handsel.wiring.agent_metrics import MetricsDoor


async def obtain(
    state: Path, runtime: Path, host: HostSettings, services: Sequence[str], patience: timedelta,
    *, ticket: str | None, servers: Sequence[str],
) -> dict[str, str]:  # fmt: skip
    """Obtain what these services need (none: all of this host), and end. Returns the folder of each.

    No proxy is run, and nothing is reported of any. Raises `Unreachable` or `StateError` with what is lacking when
    that is still so after `patience`.
    """
    opened = run_agent(
        state, runtime, host, ticket=ticket, servers=servers, envoy=None, moved=False, metrics=MetricsDoor(0)
    )
    async with opened as agent:
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await agent.changed(lambda: not _lacking(agent, services))
        except TimeoutError as error:
            lacking = "; ".join(_lacking(agent, services))
            message = f"not obtained within {patience.total_seconds():g} s: {lacking}"
            raise Unreachable(message) if agent.server.problem else StateError(message) from error
        return {name: str(agent.layout.of(name).folder) for name in services or agent.holdings.workloads}


def _lacking(agent: Agent, services: Sequence[str]) -> list[str]:
    """What is not there yet, a line each."""
    if agent.holdings.sequence == 0:
        return [agent.server.problem or "the server has not said yet which services this host has"]
    names = services or tuple(agent.holdings.workloads)
    if not names:
        return ["no service is registered to this host"]
    return [f"{name}: {each}" for name in names for each in _lacking_of(agent, name)]


def _lacking_of(agent: Agent, name: str) -> list[str]:
    workload = agent.holdings.workloads.get(name)
    if workload is None:
        known = ", ".join(agent.holdings.workloads) or "none"
        return [f"it is not registered to this host (registered: {known})"]
    if workload.key_pair is None or workload.key_pair.leaf.not_after <= agent.clock.now():
        return [agent.server.problem or agent.state_problem or "its certificate is not signed yet"]
    found = [*agent.secrets.missing(name).values()]
    if workload.assigned.acme and workload.acme is None:
        found.append("its certificate of the ACME CA is not there yet")
    standings = {
        each.wanted.delivery.name: each for each in agent.deliveries.standings.values() if each.wanted.service == name
    }
    for wanted in workload.assigned.deliveries:
        standing = standings.get(wanted.name)
        if standing is None or not standing.mark:
            found.append(
                f"files {wanted.name}: {standing.line() if standing and standing.line() else 'not written yet'}"
            )
    return found
