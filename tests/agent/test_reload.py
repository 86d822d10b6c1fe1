"""Telling a program: the process that is meant and no other, a command without a shell, a call to this host only."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from handsel.agent.adapters.delivery.reload import reload
from handsel.errors import StateError
from handsel.model.delivery import Reload

PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[1], "a").write("told\\n"))
print("ready", flush=True)
while True: time.sleep(0.05)
"""


@pytest.fixture
def program(tmp_path) -> Iterator[tuple[int, Path]]:
    """A process that notes each SIGHUP in a file."""
    notes = tmp_path / "notes"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(notes)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid, notes
        process.kill()


def _pid_file(tmp_path: Path, content: object, mode: int = 0o644) -> Path:
    path = tmp_path / "pid"
    path.write_text(str(content))
    path.chmod(mode)
    return path


async def _refused(wish: Reload, *, may_run: bool = True) -> str:
    with pytest.raises(StateError) as caught:
        await reload(wish, may_run=may_run)
    return str(caught.value)


async def test_a_signal_reaches_the_process_of_the_file(program, tmp_path):
    pid, notes = program
    await reload(Reload("HUP", str(_pid_file(tmp_path, f" {pid}\n"))), may_run=False)
    async with asyncio.timeout(10):
        while not notes.exists():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("content", ["", "x", "-1", "0", "1", "99999999", "12 ;", "1e3"])
async def test_a_file_that_names_no_process_is_said(tmp_path, content):
    said = await _refused(Reload("HUP", str(_pid_file(tmp_path, content))))
    assert "holds no process id" in said


async def test_a_process_that_has_ended_is_said(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert f"no process {ended.pid} runs" in await _refused(Reload("HUP", str(_pid_file(tmp_path, ended.pid))))
    assert "cannot be read: No such file" in await _refused(Reload("HUP", str(tmp_path / "none")))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_who_writes_a_pid_file_chooses_only_among_their_own_processes(program, tmp_path):
    pid, notes = program
    path = _pid_file(tmp_path, pid)
    os.chown(path, 65534, 65534)
    assert "which the file's owner may not tell anything" in await _refused(Reload("HUP", str(path)))
    os.chown(path, 0, 0)
    path.chmod(0o666)
    assert "can be written by everybody" in await _refused(Reload("HUP", str(path)))
    assert not notes.exists()
    path.chmod(0o644)
    await reload(Reload("HUP", str(path)), may_run=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_process_of_the_files_owner_is_told(tmp_path):
    with subprocess.Popen(["sleep", "60"], user=65534) as process:
        path = _pid_file(tmp_path, process.pid)
        os.chown(path, 65534, 65534)
        await reload(Reload("HUP", str(path)), may_run=False)
        assert process.wait(10) == -signal.SIGHUP


async def test_a_signal_that_ends_programs_is_not_sent(program, tmp_path):
    pid, _ = program
    for name in ("KILL", "TERM", "STOP"):
        assert "no signal for a reload" in await _refused(Reload(name, str(_pid_file(tmp_path, pid))))
    os.kill(pid, 0)


async def test_a_command_runs_without_a_shell_and_with_little_around_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDSEL_TEST_SECRET", "x")
    out = tmp_path / "out"
    code = f"import os,sys; open({str(out)!r}, 'w').write(repr([sys.argv[1:], os.environ.get('HANDSEL_TEST_SECRET'), os.getcwd()]))"
    await reload(Reload(command=(sys.executable, "-c", code, "$HOME", "a;b", "*")), may_run=True)
    assert out.read_text() == repr([["$HOME", "a;b", "*"], None, "/"])


async def test_a_command_of_the_server_is_refused_unless_it_is_allowed(tmp_path):
    out = tmp_path / "out"
    wish = Reload(command=("touch", str(out)))
    assert "the server asks for is not run here" in await _refused(wish, may_run=False)
    assert not out.exists()
    await reload(wish, may_run=True)
    assert out.exists()


async def test_a_command_that_fails_has_the_last_word_and_no_more():
    code = "import sys; print('x' * 1_000_000); sys.stderr.write('\\x1b[31mthe end'); sys.exit(3)"
    said = await _refused(Reload(command=(sys.executable, "-c", code)))
    assert "ended with status 3: x" in said
    assert said.endswith("[31mthe end")  # without what would colour a terminal
    assert len(said) < 1200
    assert "cannot be run: No such file" in await _refused(Reload(command=("/no/such/program",)))


async def test_a_command_that_takes_too_long_ends_with_what_it_has_started(tmp_path):
    child = tmp_path / "child"
    code = f"import subprocess,sys,time; p=subprocess.Popen(['sleep','60']); open({str(child)!r},'w').write(str(p.pid)); time.sleep(60)"
    begun = time.monotonic()
    said = await _refused(Reload(command=(sys.executable, "-c", code), timeout=timedelta(seconds=2)))
    assert "did not end within 2 s" in said
    assert time.monotonic() - begun < 8
    pid = int(child.read_text())
    async with asyncio.timeout(5):
        while _runs(pid):
            await asyncio.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_command_that_leaves_somebody_behind_with_its_output_is_not_waited_for():
    begun = time.monotonic()
    code = "import subprocess; subprocess.Popen(['sleep','6'])"
    await reload(Reload(command=(sys.executable, "-c", code)), may_run=True)
    assert time.monotonic() - begun < 5


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.seen.append((self.command, self.path))  # type: ignore[attr-defined]
        status = int(self.path.strip("/"))
        if status == 0:
            time.sleep(3)
            return
        self.send_response(status)
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST  # noqa: N815  # as http.server has it

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as made:
        made.seen = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


async def test_a_call_is_made_and_what_it_answers_counts(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # the machine's proxy has no part in it
    address = f"http://127.0.0.1:{server.server_port}"
    await reload(Reload(url=f"{address}/200"), may_run=False)
    await reload(Reload(url=f"{address}/204", method="PUT"), may_run=False)
    assert "answered 500" in await _refused(Reload(url=f"{address}/500"))
    assert "answered 302" in await _refused(Reload(url=f"{address}/302"))
    assert server.seen == [("POST", "/200"), ("PUT", "/204"), ("POST", "/500"), ("POST", "/302")]
    begun = time.monotonic()
    assert "did not answer within" in await _refused(Reload(url=f"{address}/0", timeout=timedelta(seconds=0.5)))
    assert time.monotonic() - begun < 2.5


async def test_a_call_to_elsewhere_or_to_nobody_is_said():
    assert "is not on this host" in await _refused(Reload(url="http://192.0.2.1/"))
    assert "cannot be called" in await _refused(Reload(url="http://127.0.0.1:1/"))


def test_the_signals_are_known_to_this_system():
    from handsel.model.delivery import SIGNALS

    assert all(f"SIG{name}" in signal.Signals.__members__ for name in SIGNALS)
