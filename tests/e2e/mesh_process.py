"""A mesh run by the real command, as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from handsel import settings
from handsel.agent.adapters.host.ports import chooser
from handsel.cli.local import call_agent
from tests.authority.signers.token import configuration
from tests.ca_keys import with_keys

HANDSEL = [sys.executable, "-m", "handsel"]
HTTP_PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'http_echo.py'}"
TCP_PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'speaks_first.py'}"


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Not of those that the kernel gives to outgoing connections, one of which would take it before it is used."""
    return chooser(set())()


def run(
    *arguments: str, timeout: float = 60, cwd: Path | None = None, within: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command of handsel to its end. `within`: see `Handsel`."""
    return subprocess.run(
        [*within, *HANDSEL, *arguments], capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd,
        env=environment(cwd),
    )  # fmt: skip


def environment(folder: Path | None = None) -> dict[str, str]:
    """Of a process that is started in `folder`: a token that lies there is the one that it finds."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    token = folder / "token" if folder else None
    return {**kept, "NO_COLOR": "1", **(configuration(token) if token and token.exists() else {})}


def wait_for(condition: Callable[[], Any], seconds: float = 15, what: str = "") -> Any:
    """The first true value of `condition`, within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


_started: list[Handsel] = []


class Handsel:
    """A long-running command of handsel in a process of its own, with its output in a file."""

    def __init__(self, folder: Path, name: str, *arguments: str, within: Sequence[str] = ()) -> None:
        """`within`: a command that runs it somewhere else, such as in a network namespace."""
        self.folder = folder
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*within, *HANDSEL, *arguments], stdout=log, stderr=log, cwd=folder, env=environment(folder),
                start_new_session=True,
            )  # fmt: skip
        _started.append(self)

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 30) -> None:
        def seen() -> bool:
            assert self.process.poll() is None, f"it ended: {self.output()}"
            return text in self.output()

        wait_for(seen, seconds, f"{text!r} in {self.output()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)


class Mesh:
    """A running `handsel up`."""

    def __init__(self, folder: Path, text: str, *options: str) -> None:
        self.folder = folder
        self.state = folder / "s"
        (folder / "handsel.yaml").write_text(with_keys(folder, text))
        self.up = Handsel(folder, "up", "up", "-f", "handsel.yaml", "--state", "s", *options)
        self.up.wait_for("stop: Ctrl-C")

    def workload(self, name: str) -> dict[str, Any]:
        return workload(self.state, name)

    def access_log(self, name: str) -> list[dict[str, Any]]:
        return access_log(self.state, name)

    def url(self, caller: str, callee: str) -> str:
        return f"http://127.0.0.1:{self.workload(caller)['ports']['callees'][callee]}"


def workload(state: Path, name: str) -> dict[str, Any]:
    """What the agent of a state folder says of one workload."""
    workloads = call_agent(state, "GET", "/v1/status")["workloads"]
    return next(each for each in workloads if each["service"] == name)


def access_log(state: Path, name: str) -> list[dict[str, Any]]:
    path = state / "agent" / "workloads" / name / "access.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def mesh(text: str, *options: str) -> Iterator[Mesh]:
    """Bring a mesh up; at the end it is stopped, and nothing of it may be left."""
    with short_folder() as folder:
        running = Mesh(folder, text, *options)
        try:
            yield running
        finally:
            running.up.stop()
            end_everything_in(folder)
            shutil.rmtree(settings.runtime_folder(running.state), ignore_errors=True)


def processes_of(folder: Path) -> list[int]:
    """Processes whose command line or working folder names this folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(folder) in command or str((process / "cwd").readlink()).startswith(str(folder)):
                    found.append(int(process.name))
    return found


def end_everything_in(folder: Path) -> None:
    for _ in range(10):  # an agent that is ended last may just have begun another Envoy
        there = processes_of(folder)
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not there:
            break
        time.sleep(0.02)
    for each in [each for each in _started if each.folder == folder]:
        each.process.kill()
        each.process.wait()


def fetch(url: str, proxy: str = "", timeout: float = 5) -> tuple[int, str]:
    """Status and body of a GET, through a proxy when one is named, never through the machine's."""
    handler = urllib.request.ProxyHandler({"http": proxy} if proxy else {})
    opener = urllib.request.build_opener(handler)
    try:
        with opener.open(url, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
