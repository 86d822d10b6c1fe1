"""The agent, put together: its folder, its enrolment, its control socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import structlog

from handsel.agent.adapters import network_namespace
from handsel.agent.adapters.control import ControlDoor
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.host import launch, rights
from handsel.agent.adapters.host.machine import this_machine
from handsel.agent.adapters.host.notify import ServiceManager
from handsel.agent.adapters.joining import enrol
from handsel.agent.adapters.runtime import Agent, enrolled
from handsel.agent.adapters.tpm import quoting
from handsel.agent.join import Prove, Way
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment, HostSettings
from handsel.agent.probes import read as read_probes
from handsel.door.adapters.uvicorn_tls import DoorServer, listen_unix
from handsel.door.asgi import Door
from handsel.envoy.adapters import binary
from handsel.errors import Bug, StateError, UsageError
from handsel.link.adapters.http_client import fetch_pinned_roots
from handsel.link.ticket import TicketText
from handsel.pki.certificate import parse_pem
from handsel.pki.names import TrustDomain
from handsel.wiring import collector
from handsel.wiring.agent_metrics import MetricsDoor, metrics_door

_log = structlog.get_logger("handsel.agent")


@contextlib.asynccontextmanager
async def open_agent(
    state: Path,
    runtime: Path,
    host: HostSettings,
    *,
    ticket: str | None,
    url: str | None,
    others: tuple[str, ...] = (),
    envoy: Path | None,
    drain_seconds: float | None = None,
    machine: str = "",
    moved: bool = False,
    metrics: MetricsDoor | None = None,
    probes: str = "",
) -> AsyncIterator[Agent]:
    """The agent of a state folder, running; `others` are more servers, see `Enrolment`.

    At the end its Envoys run on, unless `drain_seconds` says otherwise. `machine`: the one that we are on, when it
    matters that the folder is of it; `moved`: it is of another one, on purpose. `metrics` None: the usual door.
    `probes`: of a pod's programs, see `agent.probes.read`.
    """
    if host.strict:
        network_namespace.check()
    collector.calm()
    folder = AgentFolder(Layout(state / "agent", runtime))
    folder.prepare()
    with folder.hold():
        enrolment = folder.enrolment()
        if enrolment is None:
            if ticket is None:
                raise UsageError("this host has not joined yet", next_step="give it a ticket: --ticket hs2.…")
            enrolment = await enrol(folder, Way.by_ticket(TicketText.decode(ticket), url, others), machine)
        enrolment = _of_this_machine(folder, enrolment, machine, moved=moved)
        enrolment = replace(enrolment, others=others or enrolment.others)
        agent = Agent(folder, enrolled(enrolment, url), binary.find(envoy) if host.proxies else None, host)
        door = DoorServer(Door(ControlDoor(agent).routes(), on_bug=_log_bug), listen_unix(folder.layout.control), None)
        await door.start()
        try:
            await agent.start()
            async with metrics_door(agent, metrics or MetricsDoor(), _log_bug), _pod_doors(agent, host, probes):
                yield agent
        finally:
            await door.stop()
            await agent.stop(drain_seconds=drain_seconds)
            folder.layout.control.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def run_agent(
    state: Path, runtime: Path, host: HostSettings, *, ticket: str | None, servers: Sequence[str], envoy: Path | None,
    moved: bool, metrics: MetricsDoor | None = None, probes: str = "",
) -> AsyncIterator[Agent]:  # fmt: skip
    """The agent as a process of its own, bound to this machine; who started it is told how it is."""
    manager = ServiceManager.of(os.environ)
    has_names = rights.may_use_usual_ports() or (host.captured and rights.usual_ports_are_free())
    opened = open_agent(
        state, runtime, replace(host, has_names=has_names), ticket=ticket,
        url=next(iter(servers), None), others=tuple(servers[1:]), envoy=envoy, machine=this_machine(), moved=moved,
        metrics=metrics, probes=probes,
        # The end of a pod's sidecar is the end of its container, with all that runs there.
        drain_seconds=host.drain.total_seconds() if host.pod else None,
    )  # fmt: skip
    async with opened as agent, manager.following(lambda: _in_one_line(agent)):
        yield agent


@contextlib.asynccontextmanager
async def _pod_doors(agent: Agent, host: HostSettings, probes: str) -> AsyncIterator[None]:
    """Those of a pod, where this is one; heavy, and nobody else needs them."""
    if host.pod is None:
        yield
        return
    from handsel.agent.adapters.pod import pod_doors  # noqa: PLC0415

    async with pod_doors(agent, host.pod, read_probes(probes), _log_bug):
        yield


def _in_one_line(agent: Agent) -> str:
    names = agent.holdings.workloads
    ready = sum(agent.ready(name) for name in names)
    problem = f"; {agent.server.problem}" if agent.server.problem else ""
    of = f"agent {agent.server.enrolment.agent_id} of {agent.server.enrolment.trust_domain}"
    return f"{of}: {ready} of {len(names)} proxies in sync{problem}"


def _of_this_machine(folder: AgentFolder, enrolment: Enrolment, machine: str, *, moved: bool) -> Enrolment:
    """The enrolment, bound to this machine from now on. Raises `StateError` when it is another one's."""
    if not machine or enrolment.machine == machine:
        return enrolment
    if not moved:
        _check_machine(folder, enrolment, machine)
    bound = replace(enrolment, machine=machine)
    folder.write_enrolment(bound)
    return bound


def _check_machine(folder: AgentFolder, enrolment: Enrolment, machine: str) -> None:
    if machine and enrolment.machine and enrolment.machine != machine:
        state = folder.layout.state.parent
        raise StateError(
            f"this state folder is of another host: agent {enrolment.agent_id} in {state} joined elsewhere",
            next_step="join with a new ticket and a folder of its own; or, when the other host is gone and this one "
            f"takes its place: handsel agent run --moved --state {state}",
        )


def enrolment_of(state: Path, runtime: Path) -> Enrolment | None:
    """The enrolment of this host, if it has joined. Raises `StateError`, also when it is another host's."""
    folder = AgentFolder(Layout(state / "agent", runtime))
    there = folder.enrolment()
    if there is not None:
        _check_machine(folder, there, this_machine())
    return there


async def join_host(state: Path, runtime: Path, way: Way) -> tuple[Enrolment, bool]:
    """Enrol a host unless it has joined before. Returns its enrolment, and whether it is new. Raises `StateError`."""
    folder = AgentFolder(Layout(state / "agent", runtime))
    folder.prepare()
    with folder.hold():
        there, machine = folder.enrolment(), this_machine()
        if there is not None:
            return _of_this_machine(folder, there, machine, moved=False), False
        return await enrol(folder, way, machine), True


def prepare_key(state: Path, runtime: Path) -> str:
    """The pin of the key that this host will join with, made now if need be. Raises `StateError`, `UsageError`."""
    folder = AgentFolder(Layout(state / "agent", runtime))
    folder.prepare()
    with folder.hold():
        if folder.enrolment() is not None:
            raise UsageError("this host has joined before")
        key = folder.prepared_key(make=True)
        if key is None:
            raise Bug("a key that was just made is not there")
        return key.pin()


def become(
    program: Sequence[str], environment: Mapping[str, str], owner: Sequence[int] | None, hosts: str, network: str
) -> NoReturn:
    """Become a service's program, see `Agent.start_of`. Raises `OSError` when it cannot be started."""
    launch.run(program, environment, (owner[0], owner[1]) if owner else None, hosts, network)


def _log_bug(error: Exception) -> None:
    _log.error("a handler failed", exc_info=error)


def quote_of_tpm(chain_pem: bytes, attestation_key: str, registers: str) -> Prove:
    """What this host shows with the attestor `tpm`. Raises `UsageError`."""
    return quoting(chain_pem, attestation_key, registers)


async def known_server(
    url: str, attestor: str, prove: Prove, roots_pem: bytes | None, pins: Sequence[str], trust_domain: str | None
) -> Way:
    """How a host joins without a ticket: the server is known by its roots, or by the pins of their keys.

    `trust_domain`: needed when the roots do not say it, because they are not handsel's own. Raises `UsageError`,
    `TicketRefused` when no root fits a pin, `Unreachable`.
    """
    try:
        roots = parse_pem(roots_pem) if roots_pem else await fetch_pinned_roots(url, tuple(pin.lower() for pin in pins))
    except ValueError as error:
        raise UsageError(f"the roots cannot be read: {error}") from error
    said = {name.removeprefix("spiffe://") for root in roots for name in root.uri_names}
    if trust_domain is None and len(said) != 1:
        raise UsageError("the roots do not say which trust domain they are of", next_step="say it: --trust-domain")
    try:
        domain = TrustDomain(trust_domain or said.pop())
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Way(url, domain, attestor, prove, roots=roots)
