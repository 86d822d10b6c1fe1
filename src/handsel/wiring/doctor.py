"""`handsel doctor`, put together: where everything of a state folder is, the facts about it, the checks."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from handsel import settings
from handsel.agent import unit
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.host import systemd
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment
from handsel.diagnose.adapters import doctor_folder, doctor_host, doctor_reach
from handsel.diagnose.doctor import environment, folder, ports, reach, trust
from handsel.diagnose.doctor.folder import Folder
from handsel.diagnose.doctor.model import Check, Group, Report
from handsel.diagnose.doctor.ports import Wanted
from handsel.diagnose.doctor.reach import Agent, Service
from handsel.diagnose.doctor.trust import Clock, Held
from handsel.errors import HandselError, InvalidFile
from handsel.model.graph import Mesh
from handsel.pki.names import TrustDomain
from handsel.wiring.down import up_record
from handsel.wiring.host_service import needs
from handsel.wiring.mesh_files import load_mesh
from handsel.wiring.server_folder import ServerFolder

# A hash of ten digits and an ending, see `agent.layout`.
_LONGEST_SOCKET_NAME = 14


@dataclass(frozen=True)
class Patient:
    """What is looked at. `config` None: there is no mesh file; `state` None: take the one of the mesh file."""

    config: Path | None
    state: Path | None
    envoy: Path | None = None
    units: Path = Path(unit.FOLDER)


def examine(patient: Patient, *, fix: bool = False, dry_run: bool = False) -> Report:
    """All checks. `fix`: mend first what is safe to mend, then look again; `dry_run`: only say what that would be."""
    report = Report(tuple(_checks(patient)))
    if not fix or not report.mends:
        return report
    if dry_run:
        return replace(report, mended=report.mends)
    doctor_folder.apply(report.mends)
    return Report(tuple(_checks(patient)), report.mends)


def _checks(patient: Patient) -> Iterator[Check]:
    mesh, faults = _mesh(patient.config)
    state = patient.state or (settings.state_folder(str(mesh.trust_domain)) if mesh else None)
    folders = [each for each in (state, settings.runtime_folder(state) if state else None) if each]
    yield from environment.checks(doctor_host.environment(folders, patient.envoy))
    yield from faults
    if state is None:
        yield Group("state").skipped("folder", "no state folder is named, and no mesh file says which it is")
        return
    yield from _Case(state.absolute(), mesh, patient.units).checks()


def _mesh(config: Path | None) -> tuple[Mesh | None, list[Check]]:
    group = Group("mesh file")
    if config is None:
        return None, []
    try:
        mesh = load_mesh(config)
    except InvalidFile as error:
        first = str(error).splitlines()[0]
        return None, [group.failure("file", first, "nothing starts on a file with faults", "handsel config view")]
    return mesh, [group.ok("file", f"{config}: {len(mesh.services)} services")]


class _Case:
    """One state folder, and the mesh file if there is one."""

    def __init__(self, state: Path, mesh: Mesh | None, units: Path) -> None:
        self._state = state
        self._mesh = mesh
        self._units = units
        self._runtime = settings.runtime_folder(state)
        self._layout = Layout(state / "agent", self._runtime)
        self._server = ServerFolder(state / "server")

    def checks(self) -> Iterator[Check]:
        facts = self._folder()
        yield from folder.checks(facts)
        yield from ports.checks(self._wanted(facts.running), doctor_host.listeners())
        enrolment = self._enrolment()
        servers = [doctor_reach.healthz(*each) for each in self._servers(enrolment)]
        told = next((time for _, time in servers if time), None)
        yield from trust.checks(self._clock(told), self._certificates())
        agent = self._agent(enrolment)
        yield from reach.checks(agent, tuple(server for server, _ in servers), self._service())

    def _folder(self) -> Folder:
        records = [("up", "", up_record(self._state))]
        records += [("program", path.stem, path) for path in sorted(self._state.glob("programs/*.pid"))]
        records += [("envoy", path.parent.name, path) for path in sorted(self._layout.workloads.glob("*/envoy.pid"))]
        locks = {"up": self._state / "lock", "agent": self._layout.lock, "server": self._server.lock}
        return doctor_folder.folder(
            self._state, self._runtime, longest_socket_name=_LONGEST_SOCKET_NAME, records=records, locks=locks
        )

    def _wanted(self, running: frozenset[str]) -> list[Wanted]:
        written = [
            Wanted(service.port, f"{service.name}'s program", bool(service.command), "up" in running)
            for service in (self._mesh.services.values() if self._mesh else ())
            if service.port
        ]
        return [*self._chosen(), *written]

    def _chosen(self) -> Iterator[Wanted]:
        """The ports that the agent chose; what a person wrote comes after and counts more."""
        for place in (self._layout.of(path.name) for path in sorted(self._layout.workloads.glob("*"))):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                content = json.loads(place.ports.read_text())
                named = {name: content[name] for name in ("application", "mesh", "proxy")}
                for purpose, port in {**named, **content["callees"]}.items():
                    yield Wanted(int(port), f"{place.service}, {purpose}")

    def _enrolment(self) -> Enrolment | None:
        with contextlib.suppress(HandselError):
            return AgentFolder(self._layout).enrolment()
        return None

    def _servers(self, enrolment: Enrolment | None) -> list[tuple[str, str, bytes]]:
        """Address, name and roots of each server that this host asks, or that runs on this folder."""
        found: list[tuple[str, str, bytes]] = []
        with contextlib.suppress(OSError):
            if enrolment:
                roots, name = self._layout.roots.read_bytes(), enrolment.trust_domain.server_dns
                found = [(url, name, roots) for url in dict.fromkeys((enrolment.url, *enrolment.others))]
            answer, _ = doctor_reach.ask_local(self._runtime / "admin.sock", "/v1/status")
            if answer and answer["server"] not in [url for url, _, _ in found]:
                domain = TrustDomain(str(answer["trust_domain"]))
                roots = (self._server.authority / "root.crt").read_bytes()
                found.append((str(answer["server"]), domain.server_dns, roots))
        return found

    def _certificates(self) -> list[Held]:
        files = [("the agent's certificate", self._layout.certificate, False), ("a root", self._layout.roots, True)]
        places = [self._layout.of(path.name) for path in sorted(self._layout.workloads.glob("*"))]
        files += [(f"the certificate of {place.service}", place.chain, False) for place in places]
        files += [("the certificate of the server's door", self._server.own_chain, False)]
        files += [(f"the CA {path.stem}", path, True) for path in sorted(self._server.authority.glob("*.crt"))]
        return doctor_folder.certificates(files)

    def _clock(self, told: datetime | None) -> Clock:
        return Clock(doctor_folder.now(), told, doctor_host.clock_is_synchronized())

    def _agent(self, enrolment: Enrolment | None) -> Agent:
        if enrolment is None:
            return Agent(joined=False)
        answer, problem = doctor_reach.ask_local(self._runtime / "control.sock", "/v1/status")
        return Agent(True, enrolment.agent_id, problem, str(answer.get("server_problem", "")))

    def _service(self) -> Service:
        path = self._units / unit.NAME
        service = Service(str(path), systemd.runs(), str(self._state))
        try:
            text = path.read_text()
        except OSError:
            return service
        there = unit.parse(text, needs())
        if there is None or unit.HEADER not in text:
            return replace(service, text=text)
        if not Path(there.program[0]).exists():
            there = replace(there, program=(sys.executable, *there.program[1:]))
        again = f"handsel join --systemd --state {there.state} --user {there.user} --address {there.address}"
        return replace(service, text=text, wanted=unit.render(there), unit_state=there.state, again=again)
