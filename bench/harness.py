"""What the benches share: both sides brought up and taken down by process id, and the facts of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import load
from cryptography.hazmat.backends.openssl.backend import backend as openssl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from handsel import settings
from handsel.agent.adapters.host.ports import chooser
from handsel.agent.layout import Layout, WorkloadLayout
from handsel.cli.local import call_agent
from handsel.envoy.adapters import admin, binary
from handsel.envoy.adapters.process import ProcessRecord

BENCH = Path(__file__).parent
HANDSEL = str(Path(sys.executable).with_name("handsel"))
CALLER, CALLEE = "caller", "callee"
# The same as the agent's, so that only the configuration differs.
ENVOY_FLAGS = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
               "--file-flush-interval-msec", "200")  # fmt: skip
_PATIENCE_SECONDS = 20.0


def environment(**more: str) -> dict[str, str]:
    """Ours without proxies, which would lead away from loopback, and with bytecode kept, as on an installed handsel."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | more


# Processes


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, all their threads: to the nanosecond, as clock_getcpuclockid(3) has it."""
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional set size of these processes now."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(found[1]) for text in texts if (found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE))) / 1024


def start(arguments: Sequence[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that Ctrl-C reaches us only and we end it in order."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent,
            env=environment(**variables), start_new_session=True,
        )  # fmt: skip


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and the like wait until this is over: a teardown is never left half-way."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGALRM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@undisturbed()
def end(processes: Iterable[subprocess.Popen[bytes]], how: signal.Signals = signal.SIGTERM) -> None:
    """Ask all of them to end, then wait; killed when they do not."""
    waited = [process for process in processes if process.poll() is None]
    for process in waited:
        process.send_signal(how)
    for process in waited:
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], Any], seconds: float, pause: float, what: str) -> Any:
    """The first true value of `condition`. Ends the bench when there is none in time."""
    deadline = time.perf_counter() + seconds
    while not (value := condition()):
        if time.perf_counter() > deadline:
            sys.exit(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
    return value


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for one side, gone afterwards. Short, because sockets lie in it; on the disk that /tmp is on."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


# The two sides


class Mesh:
    """A `handsel up` of two services: `caller`, which has no program, and `callee`, the backend."""

    def __init__(self, place: Path, more: str = "") -> None:
        command = shlex.join([sys.executable, "-S", str(BENCH / "backend.py")])
        services = f"services:\n  {CALLER}: {{calls: [{CALLEE}]}}\n  {CALLEE}: {{command: {json.dumps(command)}}}\n"
        (place / "handsel.yaml").write_text(f"trust_domain: bench.internal\n{services}{more}")
        self.state = place / "state"
        self._layout = Layout(self.state / "agent", settings.runtime_folder(self.state))
        self._log = place / "up.log"
        self._process = start([HANDSEL, "up", "-f", "handsel.yaml", "--state", "state"], self._log)

    def of(self, service: str) -> WorkloadLayout:
        return self._layout.of(service)

    def port(self) -> int | None:
        """The loopback port at which `caller` reaches `callee`, as soon as it is chosen."""
        if self._process.poll() is not None:
            sys.exit(f"handsel up ended:\n{self._log.read_text()}")
        try:
            return int(json.loads(self.of(CALLER).ports.read_text())["callees"][CALLEE])
        except (OSError, ValueError, KeyError):
            return None

    def answers(self) -> bool:
        port = self.port()
        return port is not None and load.once(port)

    def workload(self, service: str) -> dict[str, Any]:
        workloads = call_agent(self.state, "GET", "/v1/status")["workloads"]
        return next(each for each in workloads if each["service"] == service)

    def envoys(self) -> list[int]:
        return [int(self.workload(service)["envoy"]) for service in (CALLER, CALLEE)]

    def pids(self) -> list[int]:
        """handsel itself, its Envoys and the program."""
        return [self._process.pid, *(record.pid for record in self._records())]

    def steps(self) -> dict[str, float]:
        """The seconds of each step, as `up` tells them."""
        return {name: float(seconds) for name, seconds in re.findall(r"✓ (\S+) +([\d.]+) s", self._log.read_text())}

    @undisturbed()
    def stop(self) -> None:
        end([self._process], signal.SIGINT)
        for record in self._records():
            record.signal(signal.SIGKILL)  # only what a killed `up` has left behind
        shutil.rmtree(self._layout.runtime, ignore_errors=True)

    def _records(self) -> list[ProcessRecord]:
        paths = [*self.state.glob("programs/*.pid"), *self.state.glob("agent/workloads/*/envoy.pid")]
        return [record for path in paths if (record := ProcessRecord.load(path)) and record.runs]


@contextlib.contextmanager
def mesh(more: str = "") -> Iterator[Mesh]:
    """A mesh that answers, in a fresh state; stopped at the end."""
    with folder() as place:
        running = Mesh(place, more)
        try:
            wait_for(running.answers, 60, 0.01, "an answer through the mesh")
            yield running
        finally:
            running.stop()


@dataclass(frozen=True)
class Material:
    """Files for the static sides: the very keys and certificates of a mesh, so that both sides have the same."""

    folder: Path

    @classmethod
    def copy(cls, running: Mesh, place: Path) -> Material:
        for service in (CALLER, CALLEE):
            shutil.copy(running.of(service).key, place / f"{service}.key")
            shutil.copy(running.of(service).chain, place / f"{service}.crt")
        shutil.copy(running.state / "agent" / "roots.crt", place / "roots.crt")
        return cls(place)

    def fill(self, template: Path, own: str, peer: str, **ports: int) -> Path:
        """The template with everything in its place, ready for Envoy."""
        values = {
            "CERT": self.folder / f"{own}.crt", "KEY": self.folder / f"{own}.key", "CA": self.folder / "roots.crt",
            "PEER_SPIFFE_ID": identity(peer), "ADMIN_SOCKET": self.admin(template),
            "PEER_CERT": self.folder / f"{peer}.crt", "PEER_KEY": self.folder / f"{peer}.key",
            "OWN_SPIFFE_ID": identity(own),
        }  # fmt: skip
        filled = self.folder / template.name
        filled.write_text(Template(template.read_text()).substitute(values | ports))
        return filled

    def admin(self, template: Path) -> Path:
        return self.folder / f"{template.stem}.adm"

    def envoy(self, config: Path) -> subprocess.Popen[bytes]:
        arguments = [str(binary.find(None)), "--config-path", str(config), *ENVOY_FLAGS]
        return start(arguments, config.with_suffix(".log"))


def identity(service: str) -> str:
    return f"spiffe://bench.internal/ns/default/sa/{service}"


def backend(port: int, log: Path) -> subprocess.Popen[bytes]:
    """The program, as `handsel up` starts it."""
    return start([sys.executable, "-S", str(BENCH / "backend.py")], log, PORT=str(port))


def pair_files(layer: str) -> tuple[Path, Path]:
    """The hand-tuned configurations of caller and callee."""
    return BENCH / "envoy-pair" / f"{layer}-client.yaml", BENCH / "envoy-pair" / f"{layer}-server.yaml"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, outside of the range that outgoing connections use."""
    free = chooser(set())
    return [free() for _ in range(count)]


def tls_seen(sockets: Iterable[Path]) -> dict[str, int]:
    """What Envoys say of their handshakes: their number, versions, groups, resumptions, failures."""
    seen: Counter[str] = Counter(handshake=0, session_reused=0)
    for socket in sockets:
        for line in asyncio.run(admin.get(socket, "/stats?usedonly")).decode().splitlines():
            name, _, value = line.partition(": ")
            found = re.match(
                r"listener\..*?\.ssl\.(handshake|session_reused|connection_error|fail_.*|(curves|versions)\..*)", name
            )
            if found and value.isdecimal():
                seen[found[1]] += int(value)
    return dict(seen)


# The machine


def facts() -> dict[str, Any]:
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
        "handsel": version("handsel"),
        "python": platform.python_version(),
        "cryptography": f"{version('cryptography')}, {openssl.openssl_version_text()}",
        "ssl": ssl.OPENSSL_VERSION,
        "envoy": _envoy_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "load_before": load_average(),
        "p256_signature_us": _signature_us(),
        "fsync_ms": _fsync_ms(),
    }


def load_average() -> str:
    """Over 1, 5 and 15 minutes, and running ÷ all threads."""
    return " ".join(Path("/proc/loadavg").read_text().split()[:4])


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=BENCH, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"


def _envoy_version() -> str:
    answer = subprocess.run([binary.find(None), "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.split("version:")[-1].strip().split("/")[1]


def _signature_us() -> float:
    """A floor for whatever signs: one of 1,000 raw P-256 signatures."""
    key, started = ec.generate_private_key(ec.SECP256R1()), time.perf_counter()
    for _ in range(1000):
        key.sign(b"floor", ec.ECDSA(hashes.SHA256()))
    return (time.perf_counter() - started) * 1e3


def _fsync_ms() -> float:
    """A floor for whatever is durable, on the disk that the states are on."""
    with tempfile.TemporaryFile() as file:
        started = time.perf_counter()
        for _ in range(20):
            file.write(b"x" * 700)
            file.flush()
            os.fsync(file.fileno())
        return (time.perf_counter() - started) * 1e3 / 20
