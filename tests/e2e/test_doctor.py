"""`handsel doctor` on a real host: each fault is made, found, and gone again; and `status --watch`."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from handsel import settings
from handsel.agent import unit
from tests.e2e.mesh_process import (
    HANDSEL,
    HTTP_PROGRAM,
    Handsel,
    Mesh,
    environment,
    free_port,
    mesh,
    run,
    short_folder,
    wait_for,
)
from tests.support import NOW, TestAuthority, write_pair

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: doctor.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
"""


class Doctor:
    """The doctor's report about one state folder, as JSON."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = ("--state", str(folder / "s"), "--unit-folder", str(folder), *options)

    def report(self, *more: str) -> dict[str, Any]:
        done = run("doctor", *self._options, *more, "-o", "json", cwd=self.folder)
        assert "Traceback" not in done.stderr, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if report["ok"] else 1)
        return report

    def wrong(self, *more: str) -> dict[str, str]:
        """Failures and warnings by name, without those that are this machine's own."""
        machine = ("openssl", "clock", "open files", "proxies", "disk")
        return {
            each["name"]: each["what"]
            for each in self.report(*more)["checks"]
            if each["result"] in ("warning", "failure") and each["name"] not in machine
        }


@pytest.fixture(scope="module")
def up() -> Iterator[Mesh]:
    with mesh(MESH) as running:
        yield running


@pytest.fixture
def doctor(up: Mesh) -> Iterator[Doctor]:
    """Nothing is wrong before, nor when the test has put its fault away."""
    asked = Doctor(up.folder)
    assert asked.wrong() == {}
    yield asked
    assert asked.wrong() == {}


def test_a_running_mesh_is_well_and_the_report_says_what_was_looked_at(doctor: Doctor, up: Mesh) -> None:
    report = doctor.report()
    told = {each["name"]: each for each in report["checks"]}
    assert "1.40" in told["envoy"]["what"] or told["envoy"]["result"] == "ok"
    assert "2 services" in told["file"]["what"]
    assert told["server"]["result"] == told["agent"]["result"] == "ok"
    assert "`up` runs" in told["processes"]["what"]
    assert int(told["certificates"]["what"].split()[0]) >= 6
    for_people = run("doctor", "--state", str(up.state), cwd=up.folder).stdout
    assert "✓ envoy" in for_people
    assert "- systemd" in for_people


def test_a_key_that_others_can_read_is_found_and_mended(doctor: Doctor, up: Mesh) -> None:
    key = up.state / "agent" / "workloads" / "web" / "identity.key"
    key.chmod(0o644)
    assert str(key) in doctor.wrong()["modes"]
    would = doctor.report("--fix", "--dry-run")
    assert would["would_mend"] == [f"chmod 600 {key}"]
    assert key.stat().st_mode & 0o777 == 0o644
    assert doctor.report("--fix")["mended"] == [f"chmod 600 {key}"]
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_file_of_another_user_is_found(doctor: Doctor, up: Mesh) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    file = up.state / "agent" / "enrolment.json"
    os.chown(file, 1, -1)
    assert f"{file} (uid 1)" in doctor.wrong()["owner"]
    os.chown(file, 0, -1)


def test_a_dead_socket_is_found_and_removed(doctor: Doctor, up: Mesh) -> None:
    path = settings.runtime_folder(up.state) / "dead.ads"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert "dead.ads" in doctor.wrong()["sockets"]
    doctor.report("--fix")
    assert not path.exists()


def test_a_stopped_server_and_an_impostor_are_told_apart(doctor: Doctor, up: Mesh) -> None:
    enrolment = up.state / "agent" / "enrolment.json"
    before = enrolment.read_bytes()
    port = free_port()
    enrolment.write_text(json.dumps({**json.loads(before), "others": [f"https://127.0.0.1:{port}"]}))
    assert f"https://127.0.0.1:{port} does not answer" in doctor.wrong()["server"]
    with _impostor(port, up.folder, TestAuthority.make(NOW)):
        assert "is not the server of this trust domain" in doctor.wrong()["server"]
    enrolment.write_bytes(before)


@contextlib.contextmanager
def _impostor(port: int, folder: Path, authority: TestAuthority) -> Iterator[None]:
    """Somebody who answers with a certificate of another authority."""
    pair = authority.pair(authority.trust_domain.agent("x"), lifetime=timedelta(days=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, "impostor", pair))
    with _https(port, context, datetime.now(UTC)):
        yield
    for path in folder.glob("impostor.*"):
        path.unlink()


@contextlib.contextmanager
def _https(port: int, context: ssl.SSLContext, now: datetime) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", port), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("minutes", "word"), [(0, ""), (5, "behind"), (-5, "ahead of")], ids=["same", "behind", "ahead"]
)
def test_a_clock_that_is_not_the_servers_is_told(doctor: Doctor, up: Mesh, minutes: int, word: str) -> None:
    enrolment = up.state / "agent" / "enrolment.json"
    before = enrolment.read_bytes()
    port = free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(up.state / "server" / "server.crt", up.state / "server" / "server.key")
    content = json.loads(before)
    enrolment.write_text(json.dumps({**content, "url": f"https://127.0.0.1:{port}"}))
    with _https(port, context, datetime.now(UTC) + timedelta(minutes=minutes)):
        found = doctor.wrong()
    enrolment.write_bytes(before)
    assert list(found) == (["clock of the server"] if minutes else [])
    assert word in found.get("clock of the server", "")


def test_an_edited_unit_is_found(doctor: Doctor, up: Mesh) -> None:
    made = run("join", "--systemd", "--dry-run", "--state", str(up.state))
    assert made.returncode == 0, made.stderr
    file = up.folder / unit.NAME
    file.write_text(made.stdout)
    assert doctor.wrong() == {}
    told = {each["name"]: each for each in doctor.report()["checks"]}
    assert told["systemd"]["result"] == "ok"
    file.write_text(made.stdout.replace("ProtectSystem=strict\n", ""))
    assert "is not what this handsel would write" in doctor.wrong()["systemd"]
    file.unlink()


def test_faults_of_the_mesh_file_and_of_envoy_are_failures_beside_the_rest(doctor: Doctor, up: Mesh) -> None:
    bad = up.folder / "bad.yaml"
    bad.write_text("services: {web: {calls: [nobody]}}\n")
    assert "nobody" in doctor.wrong("-f", str(bad))["file"]
    program = up.folder / "no-envoy"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert "says 'hello' to --version" in doctor.wrong("--envoy", str(program))["envoy"]


def test_certificates_that_ended_are_told_when_the_clock_has_gone_on(up: Mesh, doctor: Doctor) -> None:
    if subprocess.run(["which", "faketime"], capture_output=True, check=False).returncode:
        pytest.skip("needs faketime")
    HANDSEL[:0] = ["faketime", "-f", "+40d"]
    try:
        late = doctor.wrong()
    finally:
        del HANDSEL[:3]
    assert "ended" in late["certificates"]


def test_what_a_killed_up_left_is_told_and_its_records_go_with_it() -> None:
    with mesh(MESH) as running:
        asked = Doctor(running.folder)
        running.up.kill()
        found = asked.wrong()
        assert "an `up` that was killed left running: emoji" in found["processes"]
        assert "up (pid" in found["records"]
        assert "does not answer" in found["agent"]
        fixed = asked.report("--fix")
        assert str(running.state / "up.pid") in " ".join(fixed["mended"])
        # What runs is not touched by --fix; `down` ends it.
        assert "processes" in asked.wrong()
        assert run("down", "--state", str(running.state)).returncode == 0
        assert "processes" not in asked.wrong()


def test_a_written_port_in_use_is_told_before_up_fails_on_it() -> None:
    port = free_port()
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(
            f'trust_domain: d.internal\nservices:\n  web: {{port: {port}, command: "{HTTP_PROGRAM}"}}\n'
        )
        asked = Doctor(folder)
        assert asked.wrong() == {}
        with socket.create_server(("127.0.0.1", port)):
            found = asked.wrong()
        assert f"(pid {os.getpid()})" in found[f"port {port}"]
        assert "web's program: in use by" in found[f"port {port}"]


def test_a_second_owner_of_a_port_is_told() -> None:
    """Both asked for SO_REUSEPORT: the kernel gives each of them some of the calls."""
    port = free_port()
    with short_folder() as folder, contextlib.ExitStack() as running:
        (folder / "handsel.yaml").write_text(f"trust_domain: d.internal\nservices:\n  web: {{port: {port}}}\n")
        asked = Doctor(folder)
        first = running.enter_context(_sharing(port))
        assert asked.wrong() == {}
        second = running.enter_context(_sharing(port))
        (told,) = asked.wrong().values()
        assert told.startswith("web's program: two owners")
        assert f"(pid {first})" in told
        assert f"(pid {second})" in told


@contextlib.contextmanager
def _sharing(port: int) -> Iterator[int]:
    program = (
        "import socket,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1);"
        f"s.bind(('127.0.0.1', {port})); s.listen(); print('there', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        yield process.pid
        process.kill()


def test_nothing_at_all_is_no_fault() -> None:
    with short_folder() as folder:
        done = run("doctor", "-o", "json", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "no state folder is named" in done.stdout


def test_status_is_watched_until_ctrl_c_and_while_the_mesh_is_away() -> None:
    with mesh(MESH) as running, (running.folder / "watched").open("wb") as output:
        watching = subprocess.Popen(
            [*HANDSEL, "status", "--state", str(running.state), "--watch", "--interval", "0.2s", "-o", "json"],
            stdout=output, env=environment(), cwd=running.folder,
        )  # fmt: skip

        def seen() -> list[dict[str, Any]]:
            lines = (running.folder / "watched").read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]

        wait_for(lambda: len(seen()) >= 3)
        assert all(len(each["agent"]["workloads"]) == 2 for each in seen())
        assert running.up.stop() == 0
        wait_for(lambda: "problem" in seen()[-1])
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0


def test_status_for_people_is_printed_again_and_again(up: Mesh) -> None:
    watching = Handsel(up.folder, "screen", "status", "--state", str(up.state), "--watch", "--interval", "0.1s")
    wait_for(lambda: watching.output().count("SERVICE") >= 2)
    assert watching.stop() == 0
    assert "Traceback" not in watching.output()
    assert "\033" not in watching.output()
    refused = run("status", "--state", str(up.state), "--interval", "1s")
    assert (refused.returncode, "is about --watch" in refused.stderr) == (2, True)
