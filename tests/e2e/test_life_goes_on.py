"""Rotation, and the death of each part: traffic goes on, nothing is lost, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handsel import settings
from handsel.agent.adapters.proxies import Proxy
from handsel.agent.layout import Layout
from handsel.envoy.adapters import binary
from handsel.envoy.adapters.process import ProcessRecord
from tests.e2e.load import Load
from tests.e2e.mesh_process import (
    HTTP_PROGRAM,
    Handsel,
    Mesh,
    access_log,
    end_everything_in,
    environment,
    fetch,
    free_port,
    mesh,
    processes_of,
    run,
    short_folder,
    wait_for,
    workload,
)

pytestmark = pytest.mark.e2e

WEB_AND_EMOJI = f"""
trust_domain: life.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
"""
ROTATING = WEB_AND_EMOJI + "authority: {leaf_lifetime: 20s, renew_after: 2s}\n"


@pytest.mark.parametrize("telemetry", ["", "telemetry: {requests: true}\n"], ids=["layer 4", "layer 7"])
def test_no_request_fails_while_certificates_rotate(telemetry: str) -> None:
    with mesh(ROTATING + telemetry) as running:
        serials: set[str] = set()
        with Load(running.workload("web")["ports"]["callees"]["emoji"]) as load:
            end = time.monotonic() + (25 if os.environ.get("CI") else 12)
            while time.monotonic() < end:
                serials.add(running.workload("emoji")["certificate"]["serial"])
                time.sleep(0.5)
        assert load.failures == []
        assert load.sent > 500
        # A new certificate every two seconds, and the proxies used them: new connections show new serials.
        assert len(serials) >= 4
        if not telemetry:
            shown = {
                line["peer_serial"] for line in running.access_log("emoji") if line["event"] == "inbound_connected"
            }
            assert len(shown) >= 4


def test_a_killed_envoy_is_back_in_a_moment_with_its_identity() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        before = running.workload("emoji")
        os.kill(before["envoy"], signal.SIGKILL)
        url = running.url("web", "emoji")

        def answered() -> bool:
            try:
                return fetch(url)[0] == 200
            except OSError:
                return False

        killed = time.monotonic()
        wait_for(answered, 5)
        assert time.monotonic() - killed < 3  # a second on a quiet machine
        after = running.workload("emoji")
        assert after["envoy"] != before["envoy"]
        assert after["certificate"] == before["certificate"]
        running.up.wait_for("the Envoy of emoji ended and is started again")


def test_a_large_access_log_is_put_aside_and_the_proxy_writes_on() -> None:
    async def limit(running: Mesh) -> bool:
        place = Layout(running.state / "agent", settings.runtime_folder(running.state)).of("web")
        return await Proxy(binary.find(None), place).limit_log(largest=10)

    with mesh(WEB_AND_EMOJI) as running:
        fetch(running.url("web", "emoji"))
        first = wait_for(lambda: running.access_log("web"))
        assert asyncio.run(limit(running))
        fetch(running.url("web", "emoji"))
        before = {line["client"] for line in first}
        assert wait_for(lambda: [line for line in running.access_log("web") if line["client"] not in before])


def test_a_crashed_program_is_started_again_and_reported() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        pid = int(fetch(running.url("web", "emoji"))[1].split()[1])
        os.kill(pid, signal.SIGKILL)
        running.up.wait_for("emoji ended with status -9 and is started again")

        def another() -> bool:
            try:
                return int(fetch(running.url("web", "emoji"))[1].split()[1]) != pid
            except (OSError, IndexError, ValueError):
                return False

        wait_for(another)


def test_ctrl_c_leaves_nothing_behind() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        assert processes_of(running.folder)
        assert running.up.stop() == 0
        assert processes_of(running.folder) == []
        assert not settings.runtime_folder(running.state).exists()
        assert "Traceback" not in running.up.output()


class Apart:
    """A server and an agent as processes of their own, and two programs started by `handsel run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "handsel.yaml").write_text(WEB_AND_EMOJI)
        self.listen = f"127.0.0.1:{free_port()}"
        self.start_server()
        ticket = run("agent", "ticket", "--state", str(folder / "server")).stdout.strip()
        self.agent_arguments = ("agent", "run", "--state", "agent")
        self.agent = Handsel(folder, "agent", *self.agent_arguments, "--ticket", ticket)
        self.agent.wait_for("agent ")
        self.programs = {name: self.start_program(name) for name in ("emoji", "web")}
        wait_for(self.answers, 20)

    def start_server(self) -> None:
        self.server = Handsel(
            self.folder, "server", "server", "-f", "handsel.yaml", "--state", "server", "--listen", self.listen,
            "--metrics-port", "0", "--status-port", "0",
        )  # fmt: skip
        self.server.wait_for("server https")

    def start_program(self, name: str) -> Handsel:
        return Handsel(self.folder, name, "run", "--service", name, "--state", "agent", "--", *HTTP_PROGRAM.split())

    def workload(self, name: str) -> dict[str, object]:
        return workload(self.folder / "agent", name)

    def answers(self) -> bool:
        try:
            port = self.workload("web")["ports"]["callees"]["emoji"]  # type: ignore[index]
            return fetch(f"http://127.0.0.1:{port}/")[0] == 200
        except Exception:
            return False

    def issued(self) -> int:
        with sqlite3.connect(self.folder / "server" / "server" / "handsel.db") as database:
            return int(
                database.execute("SELECT count(*) FROM certificates WHERE requested_by != 'server'").fetchone()[0]
            )


@pytest.fixture
def apart() -> Iterator[Apart]:
    with _apart() as parts:
        yield parts


@contextmanager
def _apart() -> Iterator[Apart]:
    with short_folder() as folder:
        try:
            yield Apart(folder)
        finally:
            for _ in range(2):  # an agent that is ended first starts no new Envoy
                end_everything_in(folder)
                time.sleep(0.1)


def test_with_the_server_killed_traffic_restarts_and_starts_go_on(apart: Apart) -> None:
    issued = apart.issued()
    apart.server.kill()
    assert apart.answers()
    # An Envoy's restart needs no server.
    os.kill(apart.workload("emoji")["envoy"], signal.SIGKILL)  # type: ignore[arg-type]
    wait_for(apart.answers)
    # Nor does a program's start.
    apart.programs["emoji"].kill()
    apart.programs["emoji"] = apart.start_program("emoji")
    wait_for(apart.answers)
    apart.start_server()
    wait_for(lambda: not _status(apart)["server_problem"], 20)
    assert apart.answers()
    # What was there is not issued again.
    assert apart.issued() == issued


def test_with_the_agent_killed_traffic_goes_on_and_the_next_one_adopts(apart: Apart) -> None:
    before = {name: apart.workload(name) for name in ("web", "emoji")}
    port = before["web"]["ports"]["callees"]["emoji"]  # type: ignore[index]
    with Load(port, rate=50) as load:
        apart.agent.kill()
        time.sleep(1)
        apart.agent = Handsel(apart.folder, "agent2", *apart.agent_arguments)
        apart.agent.wait_for("agent ")
        wait_for(lambda: all(apart.workload(name)["in_sync"] for name in before), 20)
        time.sleep(1)
    assert load.failures == []
    for name, workload_before in before.items():
        after = apart.workload(name)
        assert after["adopted"]
        assert after["envoy"] == workload_before["envoy"]
        assert after["certificate"] == workload_before["certificate"]
        assert after["ports"] == workload_before["ports"]


def test_a_killed_up_is_taken_over_by_the_next_one() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        envoy = running.workload("emoji")["envoy"]
        program = int(fetch(running.url("web", "emoji"))[1].split()[1])
        running.up.kill()
        assert ProcessRecord.of(envoy)
        running.up = Handsel(running.folder, "up2", "up", "-f", "handsel.yaml", "--state", "s")
        running.up.wait_for("stop: Ctrl-C")
        assert running.workload("emoji")["envoy"] == envoy
        assert ProcessRecord.of(program) is None
        assert fetch(running.url("web", "emoji"))[0] == 200


def test_down_ends_what_a_killed_up_left() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        running.up.kill()
        assert processes_of(running.folder)
        ended = run("down", "--state", str(running.state))
        assert ended.returncode == 0, ended.stderr
        assert processes_of(running.folder) == []


def test_detach_returns_when_it_is_up_and_down_stops_it() -> None:
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(WEB_AND_EMOJI)
        try:
            arguments = ("-f", str(folder / "handsel.yaml"), "--state", str(folder / "s"))
            started = run("up", *arguments, "--detach")
            assert started.returncode == 0, started.stderr
            assert "in sync" in started.stderr
            port = workload(folder / "s", "web")["ports"]["callees"]["emoji"]
            assert fetch(f"http://127.0.0.1:{port}/")[0] == 200
            assert run("down", *arguments).returncode == 0
            assert processes_of(folder) == []
        finally:
            end_everything_in(folder)


def test_a_second_up_on_the_same_state_says_who_holds_it() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        second = run("up", "-f", str(running.folder / "handsel.yaml"), "--state", str(running.state))
        assert second.returncode == 1
        assert f"pid {running.up.process.pid}" in second.stderr
        assert fetch(running.url("web", "emoji"))[0] == 200


def test_the_same_authority_is_found_again() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        root = (running.state / "server" / "authority" / "root.crt").read_bytes()
        running.up.stop()
        running.up = Handsel(running.folder, "up2", "up", "-f", "handsel.yaml", "--state", "s")
        running.up.wait_for("stop: Ctrl-C")
        assert "found: root" in running.up.output()
        assert (running.state / "server" / "authority" / "root.crt").read_bytes() == root


def test_a_written_port_in_use_is_named_with_its_holder() -> None:
    port = free_port()
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(
            f'trust_domain: a.internal\nservices:\n  web: {{port: {port}, command: "{HTTP_PROGRAM}"}}\n'
        )
        holder = subprocess.Popen(HTTP_PROGRAM.split(), env={**environment(), "PORT": str(port)})
        try:
            wait_for(lambda: _listens(port))
            result = run("up", "-f", str(folder / "handsel.yaml"), "--state", str(folder / "s"))
        finally:
            holder.kill()
            holder.wait()
    assert result.returncode == 1
    assert f"port {port} of web is in use by python" in result.stderr
    assert f"pid {holder.pid}" in result.stderr


def _listens(port: int) -> bool:
    try:
        return fetch(f"http://127.0.0.1:{port}/")[0] == 200
    except OSError:
        return False


def _status(apart: Apart) -> dict[str, object]:
    from handsel.cli.local import call_agent

    return call_agent(apart.folder / "agent", "GET", "/v1/status")


def test_access_logs_of_both_sides_join_by_address() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        fetch(running.url("web", "emoji"))
        line = wait_for(lambda: [x for x in running.access_log("web") if x["event"] == "outbound"])[0]
        inbound = wait_for(
            lambda: [x for x in access_log(running.state, "emoji") if x["peer"] == line["upstream_local"]]
        )
        assert inbound[0]["peer_uri"] == "spiffe://life.internal/ns/default/sa/web"


def test_a_port_that_the_proxy_cannot_bind_is_chosen_anew_and_reported() -> None:
    with mesh(WEB_AND_EMOJI) as running:
        before = running.workload("emoji")["ports"]
        running.up.stop()
        with socket.create_server(("127.0.0.1", before["mesh"])):
            running.up = Handsel(running.folder, "up2", "up", "-f", "handsel.yaml", "--state", "s")
            running.up.wait_for("stop: Ctrl-C")
            after = running.workload("emoji")["ports"]
            assert after["mesh"] != before["mesh"]
            assert {**after, "mesh": 0} == {**before, "mesh": 0}
            # The caller has learnt of it.
            assert wait_for(lambda: fetch(running.url("web", "emoji"))[0] == 200)
