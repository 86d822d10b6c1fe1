"""Hosts apart: a server, and agents with folders of their own, each a process, as on several machines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.ca_keys import with_keys
from tests.e2e.mesh_process import Handsel, end_everything_in, free_port, run, short_folder, wait_for, workload
from tests.e2e.network import Network


class Hosts:
    """A running server and the hosts that joined it, by name."""

    def __init__(
        self, folder: Path, text: str, network: Network | None = None, server_options: Sequence[str] = ()
    ) -> None:
        """`network`: the machines that the server and the hosts are, by their names; None: all on this one."""
        self.folder = folder
        self.server_state = folder / "server"
        self._network = network
        self._server_options = server_options
        self._listen = f"{self._address('server')}:{free_port()}"
        (folder / "handsel.yaml").write_text(with_keys(folder, text))
        self.agents: dict[str, Handsel] = {}
        self.agent_prefix: list[str] = []
        self.server = self.start_server()

    def start_server(self, state: str = "server") -> Handsel:
        """The server, at the same address each time."""
        self.server = Handsel(
            self.folder, "server", "server", "-f", "handsel.yaml", "--state", state, "--listen", self._listen,
            "--metrics-port", "0", "--status-port", "0", *self._server_options, within=self._within("server"),
        )  # fmt: skip
        self.server.wait_for("server https")
        return self.server

    def join(self, host: str, *services: str) -> Path:
        """A host with these services, its agent running. Returns its state folder."""
        made = run("agent", "ticket", "--state", str(self.server_state), "--services", ",".join(services))
        assert made.returncode == 0, made.stderr
        state = self.folder / host
        joined = run("join", "--ticket", made.stdout.strip(), "--state", str(state), within=self._within(host))
        assert joined.returncode == 0, joined.stderr
        self.start_agent(host)
        for service in services:
            wait_for(lambda service=service: self._knows(state, service), what=f"{service} on {host}")
        return state

    def start_agent(self, host: str) -> Handsel:
        """The agent of a host that joined."""
        address = self._address(host)
        self.agents[host] = Handsel(
            self.folder, host, "agent", "run", "--state", host, "--address", address,
            within=[*self._within(host), *self.agent_prefix],
        )  # fmt: skip
        self.agents[host].wait_for("agent ")
        return self.agents[host]

    def program(self, host: str, service: str, command: str) -> Handsel:
        """The program of a service."""
        words = command.split()
        return Handsel(
            self.folder, service, "run", "--service", service, "--state", host, "--", *words, within=self._within(host)
        )

    def agent_id(self, host: str) -> str:
        return str(json.loads((self.folder / host / "agent" / "enrolment.json").read_text())["agent_id"])

    def callee_port(self, host: str, caller: str, callee: str) -> int:
        """Where a program of `caller` reaches `callee`, plain."""
        ports = workload(self.folder / host, caller)["ports"]
        return int(ports["callees"][callee])

    def mesh_port(self, host: str, service: str) -> int:
        """Where other hosts reach a service."""
        return int(workload(self.folder / host, service)["ports"]["mesh"])

    def application_port(self, host: str, service: str) -> int:
        """Where its program listens, plain."""
        return int(workload(self.folder / host, service)["ports"]["application"])

    def _address(self, host: str) -> str:
        return self._network.add(host) if self._network else "127.0.0.1"

    def _within(self, host: str) -> list[str]:
        return self._network.within(host) if self._network else []

    @staticmethod
    def _knows(state: Path, service: str) -> bool:
        try:
            return bool(workload(state, service)["ready"])
        except StopIteration:
            return False


@contextlib.contextmanager
def hosts(text: str, network: Network | None = None, *, server_options: Sequence[str] = ()) -> Iterator[Hosts]:
    """A server with this mesh file; hosts join it. At the end everything is ended."""
    with short_folder() as folder:
        try:
            yield Hosts(folder, text, network, server_options)
        finally:
            end_everything_in(folder)
