"""A bare host becomes a service of the mesh: `join --systemd`, and the unit's command run as systemd would run it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel.agent import unit
from tests.e2e.mesh_process import (
    HTTP_PROGRAM,
    Handsel,
    access_log,
    end_everything_in,
    environment,
    fetch,
    free_port,
    run,
    short_folder,
    wait_for,
    workload,
)

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: bare.internal
services:
  web: {calls: [emoji]}
  emoji: {}
"""
_NO_NEW_PRIVILEGES, _DENY_WRITE_EXECUTE = 38, 65  # prctl(2)


class Host:
    """A host that joined with --systemd, and the server that it joined."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "handsel.yaml").write_text(MESH)
        (folder / "units").mkdir()
        self.machine = folder / "machine-id"
        self.machine.write_text("0123456789abcdef0123456789abcdef\n")
        self.server = Handsel(
            folder, "server", "server", "-f", "handsel.yaml", "--state", "server", "--listen",
            f"127.0.0.1:{free_port()}", "--metrics-port", "0", "--status-port", "0",
        )  # fmt: skip
        self.server.wait_for("server https")

    @property
    def unit(self) -> Path:
        return self.folder / "units" / unit.NAME

    def ticket(self) -> str:
        made = run("agent", "ticket", "--state", str(self.folder / "server"))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def join(self, *arguments: str, state: str = "host", machine: Path | None = None) -> subprocess.CompletedProcess:
        with _variable("HANDSEL_MACHINE_ID_FILE", str(machine or self.machine)):
            return run("join", "--state", state, "--unit-folder", "units", "--systemd", *arguments, cwd=self.folder)


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        yield


@pytest.fixture
def host() -> Iterator[Host]:
    with short_folder() as folder:
        try:
            yield Host(folder)
        finally:
            for _ in range(2):  # an agent that is ended first starts no new Envoy
                end_everything_in(folder)


class Manager:
    """What systemd does: runs the command of a unit with its variables, and is told by datagrams."""

    def __init__(self, file: Path, address: str) -> None:
        lines = file.read_text().splitlines()
        (command,) = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
        variables = [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.heard: list[str] = []
        self.listening = threading.Thread(target=self._listen)
        self.listening.start()
        self.folder = file.parent.parent
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                unit.unquote(command), stdout=log, stderr=log, cwd="/", start_new_session=True,
                env={
                    "PATH": "/usr/local/bin:/usr/bin:/bin", "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000",
                    **dict(word.split("=", 1) for each in variables for word in unit.unquote(each)),
                },
                preexec_fn=_as_the_unit_says,  # noqa: PLW1509  # nothing of it takes a lock
            )  # fmt: skip

    def told(self, wanted: str) -> list[str]:
        """The lines of the first datagram that has this in it."""

        def heard() -> list[str]:
            return [each for each in self.heard if wanted in each]

        first: str = wait_for(heard, 30, f"{wanted!r} in {self.heard}, {(self.folder / 'service.log').read_text()}")[0]
        return first.split("\n")

    def _listen(self) -> None:
        while said := self.socket.recv(4096):
            self.heard.append(said.decode())

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.process.send_signal(signal.SIGTERM if kind is None else signal.SIGKILL)
            status = self.process.wait(20)
            if kind is None:
                self.told("STOPPING=1")
                assert status == 0
        finally:
            self.process.kill()
            self.process.wait()
            self.socket.shutdown(socket.SHUT_RDWR)
            self.listening.join()
            self.socket.close()


def _as_the_unit_says() -> None:
    """The part of the sandbox that a process can take upon itself and hand down; an older kernel has less of it."""
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.prctl(_DENY_WRITE_EXECUTE, 1, 0, 0, 0)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_a_bare_host_ends_with_a_working_agent(host: Host, abstract: bool) -> None:
    joined = host.join("--ticket", host.ticket())
    assert joined.returncode == 0, joined.stderr
    assert "this host joined: bare.internal" in joined.stderr
    assert "systemctl daemon-reload && systemctl enable --now" in joined.stderr

    state = host.folder / "host"
    with Manager(host.unit, f"@{host.folder.name}" if abstract else str(host.folder / "notify")) as manager:
        ready = manager.told("READY=1")
        assert any(line.startswith("STATUS=agent ") for line in ready)
        # Its sockets serve from the moment that it says so.
        assert run("status", "--state", str(state), "-o", "json").returncode == 0
        manager.told("2 of 2 proxies in sync")
        assert "WATCHDOG=1" in manager.told("WATCHDOG=1")

        for name in ("web", "emoji"):
            Handsel(host.folder, name, "run", "--service", name, "--state", "host", "--", *HTTP_PROGRAM.split())
        port = workload(state, "web")["ports"]["callees"]["emoji"]
        assert wait_for(lambda: _status(port) == 200)
        line, *_ = wait_for(lambda: [x for x in access_log(state, "emoji") if x["event"] == "inbound_connected"])
        assert (line["peer_uri"], line["tls_version"]) == ("spiffe://bare.internal/ns/default/sa/web", "TLSv1.3")
        envoy = workload(state, "emoji")["envoy"]
    # KillMode=process: the Envoys live on, and so does the traffic.
    assert _status(port) == 200
    with Manager(host.unit, f"@{host.folder.name}2") as again:
        again.told("READY=1")
        again.told("2 of 2 proxies in sync")
        assert workload(state, "emoji")["envoy"] == envoy


def _status(port: int) -> int:
    try:
        return fetch(f"http://127.0.0.1:{port}/")[0]
    except OSError:
        return 0


def test_the_server_tells_too(host: Host) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(host.folder / "notify"))
        listening.settimeout(20)
        with _variable("NOTIFY_SOCKET", str(host.folder / "notify")):
            other = Handsel(
                host.folder, "other", "server", "--state", "other", "--listen", "127.0.0.1:0", "--metrics-port", "0",
                "--status-port", "0",
            )  # fmt: skip
        assert b"READY=1\nSTATUS=server https://" in listening.recv(4096)
        assert other.stop() == 0
        assert b"STOPPING=1" in listening.recv(4096)


def test_a_dry_run_prints_the_unit_and_joins_nothing(host: Host) -> None:
    ticket = host.ticket()
    would = host.join("--ticket", ticket, "--dry-run", "--address", "10.0.0.7")
    assert would.returncode == 0, would.stderr
    assert not (host.folder / "host").exists()
    assert not host.unit.exists()
    # The ticket is still good, and what was printed is what is written.
    assert host.join("--ticket", ticket, "--address", "10.0.0.7").returncode == 0
    assert host.unit.read_text() == would.stdout
    assert host.unit.stat().st_mode & 0o777 == 0o644


def test_what_would_fail_later_is_refused_before_the_ticket_is_burnt(host: Host) -> None:
    ticket = host.ticket()
    host.unit.write_text("[Service]\nExecStart=/bin/true\n")
    assert "was not written by handsel" in host.join("--ticket", ticket).stderr
    host.unit.unlink()
    assert (
        "there is no user 'nobody-of-that-name'"
        in host.join("--ticket", ticket, "--user", "nobody-of-that-name").stderr
    )
    if not Path("/run/systemd/system").exists():
        assert "systemd does not run here" in host.join("--ticket", ticket, "--start").stderr
    assert "is about --systemd" in run("join", "--state", "x", "--ticket", ticket, "--start", cwd=host.folder).stderr
    assert host.join("--ticket", ticket).returncode == 0


def test_another_user_owns_what_it_needs_and_can_run_it(host: Host) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    host.folder.chmod(0o755)
    joined = host.join("--ticket", host.ticket(), "--user", "daemon")
    assert joined.returncode == 0, joined.stderr
    state = host.folder / "host"
    owners = {path.lstat().st_uid for path in (state, *state.rglob("*"))}
    assert owners == {state.stat().st_uid} != {0}
    assert "\nUser=daemon\n" in host.unit.read_text()
    hidden = subprocess.run(
        ["setpriv", "--reuid", "daemon", "--clear-groups", "test", "-r", os.path.realpath(sys.executable)], check=False
    ).returncode  # fmt: skip
    assert ("! daemon cannot read" in joined.stderr) is bool(hidden)
    # Once more, as root, for another address: the state is the other user's by now, and no ticket is needed.
    again = host.join("--user", "daemon", "--address", "10.0.0.9")
    assert again.returncode == 0, again.stderr
    assert "has joined before" in again.stderr
    assert "--address 10.0.0.9" in host.unit.read_text()


def test_a_copied_state_folder_is_refused_until_somebody_says_that_the_host_moved(host: Host) -> None:
    assert host.join("--ticket", host.ticket()).returncode == 0
    shutil.copytree(host.folder / "host", host.folder / "copy")
    other = host.folder / "other-id"
    other.write_text("fedcba9876543210fedcba9876543210\n")
    arguments = ("agent", "run", "--state", "copy")

    with _variable("HANDSEL_MACHINE_ID_FILE", str(other)):
        refused = run(*arguments, cwd=host.folder)
        assert refused.returncode == 1
        assert "HS-S001 this state folder is of another host" in refused.stderr
        assert "handsel agent run --moved --state" in refused.stderr
        assert "of another host" in host.join("--ticket", host.ticket(), state="copy", machine=other).stderr
        moved = Handsel(host.folder, "moved", *arguments, "--moved")
        moved.wait_for("agent ")
        moved.stop()
        # Said once.
        again = Handsel(host.folder, "again", *arguments)
        again.wait_for("agent ")
        again.stop()
    # The control: where it was made, it starts.
    with _variable("HANDSEL_MACHINE_ID_FILE", str(host.machine)):
        control = Handsel(host.folder, "control", "agent", "run", "--state", "host")
        control.wait_for("agent ")
        control.stop()
        assert run(*arguments, cwd=host.folder).returncode == 1


def test_a_host_that_joined_before_machines_were_noted_is_bound_at_its_next_start(host: Host) -> None:
    assert host.join("--ticket", host.ticket()).returncode == 0
    file = host.folder / "host" / "agent" / "enrolment.json"
    content = json.loads(file.read_text())
    mark = content.pop("machine")
    file.write_text(json.dumps(content))
    with _variable("HANDSEL_MACHINE_ID_FILE", str(host.machine)):
        agent = Handsel(host.folder, "agent", "agent", "run", "--state", "host")
        agent.wait_for("agent ")
        agent.stop()
    assert json.loads(file.read_text())["machine"] == mark


def test_systemd_takes_the_unit_and_finds_it_tight(host: Host) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for name, options, exposure in (("root", (), 35), ("user", ("--user", "daemon"), 25)):
        would = host.join("--dry-run", *options)
        assert would.returncode == 0, would.stderr
        (host.folder / name).mkdir()
        file = host.folder / name / unit.NAME
        file.write_text(would.stdout)
        checked = _analyze("verify", str(file))
        assert (checked.returncode, checked.stderr) == (0, "")
        tight = _analyze("security", "--offline=true", f"--threshold={exposure}", str(file))
        assert tight.returncode == 0, tight.stdout
        # The control: without the sandbox the same threshold is not met, and a wrong setting is named.
        bare = "\n".join(
            line for line in would.stdout.splitlines() if not line.startswith(("Protect", "System", "Cap"))
        )
        file.write_text(bare)
        assert _analyze("security", "--offline=true", f"--threshold={exposure}", str(file)).returncode != 0
        file.write_text(would.stdout.replace("KillMode=process", "KillMode=some"))
        assert "some" in _analyze("verify", str(file)).stderr


def _analyze(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False, timeout=60,
        env=environment(),
    )  # fmt: skip
