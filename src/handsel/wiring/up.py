"""`handsel up`: server and agent in one process, each service's program beside its sidecar.

The two parts speak HTTPS and Unix sockets to each other, as they do apart: there is one code path.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from handsel.agent.adapters import network_namespace
from handsel.agent.adapters.host import ports, rights
from handsel.agent.adapters.host.programs import Program, ProgramPlace, end_left_behind, wait_until_listening
from handsel.agent.adapters.runtime import Agent
from handsel.agent.model import HostSettings, Start
from handsel.authority.model import ALL_SERVICES
from handsel.envoy.adapters.process import ProcessRecord
from handsel.errors import HandselError, PortInUse, StateError
from handsel.mesh.edge import Edge
from handsel.model.graph import Mesh, Service
from handsel.store.adapters.files import hold_lock, make_folder
from handsel.wiring.agent import open_agent
from handsel.wiring.configuration import Given
from handsel.wiring.down import up_record
from handsel.wiring.server import Server

_TICKET_LIFETIME = timedelta(minutes=1)
_READY_SECONDS = 30.0
_LISTEN_SECONDS = 15.0
# A program that makes certificates does so at once; a file that is not there by then is somebody's mistake.
_FILES_SECONDS = 10.0
_SUPERVISE_SECONDS = 0.2
# Programs end first, so nothing new comes; what is under way gets this long.
_DRAIN_SECONDS = 0.3


class StepLine(Protocol):
    """A step's line; `say` sets its text."""

    def say(self, text: str) -> None: ...


class Progress(Protocol):
    """Where `up` tells what it does."""

    def step(self, name: str) -> AbstractContextManager[StepLine]: ...

    def warn(self, text: str) -> None: ...


@dataclass
class Running:
    """A mesh that is up."""

    mesh: Mesh
    server: Server
    agent: Agent
    programs: dict[str, Program] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def up(
    mesh: Mesh, state: Path, runtime: Path, envoy: Path | None, progress: Progress, *, strict: bool = False,
    given: Given | None = None,
) -> AsyncIterator[Running]:  # fmt: skip
    """The mesh, running; at the end everything is drained and ended, and nothing is left behind.

    `given`: where `mesh` was read from. `strict`: see `HostSettings`.
    Raises `StateError` when this host's rights do not reach so far.
    """
    if strict:
        network_namespace.check()
    places = state / "programs"
    make_folder(state, passable=True)
    # First of all: whatever runs on this state belongs to whoever holds it.
    with hold_lock(state / "lock", "up"):
        make_folder(places)
        await end_left_behind(sorted(places.glob("*.pid")))
        _check_written_ports(mesh)
        async with _everything(mesh, given, state, runtime, envoy, progress, strict=strict) as running:
            yield running


@contextlib.asynccontextmanager
async def _everything(
    mesh: Mesh, given: Given | None, state: Path, runtime: Path, envoy: Path | None, progress: Progress, *, strict: bool
) -> AsyncIterator[Running]:
    server = Server(mesh, state, runtime, may_move=("api", "metrics", "status"), given=given)
    record = up_record(state)
    try:
        with progress.step("authority") as step:
            await server.start()
            made = "made" if server.made_authority else "found"
            step.say(f"{made}: root and issuing CA, P-256; {mesh.trust_domain}")
        for moved in server.moved:
            progress.warn(moved)
        async with _agent(server, state, runtime, envoy, progress, strict=strict) as agent:
            running = Running(mesh, server, agent)
            async with _programs(running, state / "programs", progress):
                own = ProcessRecord.of(os.getpid())
                if own is not None:
                    own.save(record)
                yield running
    finally:
        record.unlink(missing_ok=True)
        await server.stop()
        if server.opened:
            # Every Envoy has ended, and the folder was ours: nobody needs a socket any more.
            shutil.rmtree(runtime, ignore_errors=True)


@contextlib.asynccontextmanager
async def _agent(
    server: Server, state: Path, runtime: Path, envoy: Path | None, progress: Progress, *, strict: bool
) -> AsyncIterator[Agent]:
    members = server.mesh.members
    with contextlib.ExitStack() as steps:
        step = steps.enter_context(progress.step("agent"))
        ticket = await server.make_ticket(ALL_SERVICES, _TICKET_LIFETIME)
        opened = open_agent(
            state, runtime,
            # The mesh file is of this host, and so are its commands.
            HostSettings(allow_commands=True, has_names=rights.may_set_names(), strict=strict),
            ticket=ticket, url=server.url, envoy=envoy, drain_seconds=_DRAIN_SECONDS,
        )  # fmt: skip
        async with opened as agent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    agent.changed(lambda: all(agent.ready(name) or agent.missing_secrets(name) for name in members)),
                    _READY_SECONDS,
                )
            _check_ready(agent, members)
            adopted = sum(proxy.adopted for proxy in agent.proxies.by_name.values())
            step.say(f"joined; {_count(len(members), 'Envoy')} in sync" + (f", {adopted} adopted" if adopted else ""))
            steps.close()
            yield agent


@contextlib.asynccontextmanager
async def _programs(running: Running, places: Path, progress: Progress) -> AsyncIterator[None]:
    # Those without a sidecar first: they may be what the others call.
    services = sorted(running.mesh.services.values(), key=lambda service: service.sidecar)
    started = [service for service in services if service.command]
    watching: asyncio.Task[None] | None = None
    try:
        if started:
            with progress.step("services") as step:
                for service in started:
                    running.programs[service.name] = _program(running, service, places)
                    running.programs[service.name].start()
                watching = asyncio.create_task(_watch_over(running, progress.warn))
                await _wait_for_files(running, progress.warn)
                silent = await _silent(running, started)
                step.say(", ".join(service.name for service in started))
            for service in silent:
                progress.warn(
                    f"{service.name} does not listen on its port {_port(running, service)} yet; "
                    f"its output is in {places / (service.name + '.log')}"
                )
        yield
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await asyncio.gather(*(program.stop() for program in running.programs.values()))


async def _watch_over(running: Running, warn: Callable[[str], None]) -> None:
    """Restart programs that end, and say so; say it too when the agent had to restart an Envoy."""
    restarts: dict[str, int] = {}
    while True:
        for name, proxy in running.agent.proxies.by_name.items():
            if proxy.restarts > restarts.get(name, 0):
                warn(f"the Envoy of {name} ended and is started again")
            restarts[name] = proxy.restarts
        for program in running.programs.values():
            try:
                status = program.watch_over()
            except HandselError as error:
                warn(str(error))
                continue
            if status is not None:
                warn(f"{program.service} ended with status {status} and is started again")
        await asyncio.sleep(_SUPERVISE_SECONDS)


async def _wait_for_files(running: Running, warn: Callable[[str], None]) -> None:
    """Secrets in files may be made by a program that was started just now."""
    agent, members = running.agent, running.mesh.members
    try:
        await asyncio.wait_for(agent.changed(lambda: all(agent.ready(name) for name in members)), _FILES_SECONDS)
    except TimeoutError:
        for name in members:
            for problem in agent.missing_secrets(name).values():
                warn(f"{name} waits for a file: {problem}")


async def _silent(running: Running, services: Iterable[Service]) -> list[Service]:
    """The services that somebody calls and that do not listen in time."""
    edge = Edge(running.mesh)
    expected = [
        s
        for s in services
        if running.mesh.callers_of(s.name) or edge.reaching(s.name) or s.exposes or (s.port and not s.sidecar)
    ]
    network = running.agent.namespaces.path
    answers = await asyncio.gather(
        *(wait_until_listening(_port(running, s), _LISTEN_SECONDS, network=network(s.name)) for s in expected)
    )
    return [service for service, listens in zip(expected, answers, strict=True) if not listens]


def _port(running: Running, service: Service) -> int:
    workload = running.agent.holdings.workloads.get(service.name)
    return workload.ports.application if workload and workload.ports else service.port


def _program(running: Running, service: Service, places: Path) -> Program:
    if service.sidecar:
        start = running.agent.start_of(service.name)
    else:
        start = Start({"PORT": str(service.port)} if service.port else {})
    place = ProgramPlace(places / f"{service.name}.pid", places / f"{service.name}.log", Path(running.mesh.folder))
    return Program(service.name, service.command, start, place)


def _check_ready(agent: Agent, members: Iterable[str]) -> None:
    for name in members:
        if agent.ready(name) or agent.missing_secrets(name):
            continue
        ads = agent.door(name)
        reasons = [rejection.reason for rejection in ads.rejections] if ads else []
        problem, log = agent.state_problem or agent.server.problem, agent.layout.of(name).envoy_log
        raise StateError(
            f"the Envoy of {name} did not become ready in {_READY_SECONDS:.0f} s"
            + (f": {reasons[-1].strip()}" if reasons else f": {problem}" if problem else ""),
            next_step=f"its log is {log}",
        )


def _check_written_ports(mesh: Mesh) -> None:
    """A port that a person wrote must be free, or they must be told which it is and who has it."""
    for service in mesh.services.values():
        # Without a command the program is somebody else's to start, and may well run already.
        if service.command and service.port and not ports.is_free(service.port):
            who = ports.holder(service.port)
            raise PortInUse(
                f"{service.origin}: port {service.port} of {service.name} is in use" + (f" by {who}" if who else ""),
                next_step="stop that process, or write another port (or none) in the mesh file",
            )
    edge = Edge(mesh)
    for service in mesh.members.values():
        for port, number in [*edge.listening(service), *((port, port.number) for port in service.exposes)]:
            who = "" if ports.is_free(number, port.bind or "127.0.0.1") else ports.holder(number)
            if who and not who.startswith("envoy"):  # an Envoy of ours, which is adopted, has its port already
                raise PortInUse(
                    f"{port.origin}: port {number} of {service.name} is in use by {who}",
                    next_step="stop that process, or write another port in the mesh file",
                )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
