"""The agent, put together: its folder, its enrolment, its control socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from handsel.agent.adapters.control import ControlDoor
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.joining import enrol
from handsel.agent.adapters.runtime import Agent, enrolled
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment
from handsel.door.adapters.uvicorn_tls import DoorServer, listen_unix
from handsel.door.asgi import Door
from handsel.envoy.adapters import binary
from handsel.errors import UsageError
from handsel.link.ticket import TicketText

_log = structlog.get_logger("handsel.agent")


@contextlib.asynccontextmanager
async def open_agent(
    state: Path,
    runtime: Path,
    *,
    ticket: str | None,
    url: str | None,
    address: str,
    envoy: Path | None,
    drain_seconds: float | None = None,
) -> AsyncIterator[Agent]:
    """The agent of a state folder, running. At the end its Envoys run on, unless `drain_seconds` says otherwise."""
    folder = AgentFolder(Layout(state / "agent", runtime))
    folder.prepare()
    with folder.hold():
        enrolment = folder.enrolment()
        if enrolment is None:
            if ticket is None:
                raise UsageError("this host has not joined yet", next_step="give it a ticket: --ticket hs1.…")
            enrolment = await enrol(folder, TicketText.decode(ticket), url)
        agent = Agent(folder, enrolled(enrolment, url), binary.find(envoy), address)
        door = DoorServer(Door(ControlDoor(agent).routes(), on_bug=_log_bug), listen_unix(folder.layout.control), None)
        await door.start()
        try:
            await agent.start()
            yield agent
        finally:
            await door.stop()
            await agent.stop(drain_seconds=drain_seconds)
            folder.layout.control.unlink(missing_ok=True)


async def join_host(state: Path, runtime: Path, ticket: str, url: str | None) -> tuple[Enrolment, bool]:
    """Enrol a host unless it has joined before. Returns its enrolment, and whether it is new."""
    folder = AgentFolder(Layout(state / "agent", runtime))
    folder.prepare()
    with folder.hold():
        there = folder.enrolment()
        if there is not None:
            return there, False
        return await enrol(folder, TicketText.decode(ticket), url), True


def _log_bug(error: Exception) -> None:
    _log.error("a handler failed", exc_info=error)
