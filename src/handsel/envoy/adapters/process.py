"""One Envoy's process: in a session of its own, so that it outlives the agent; found again by its record."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from handsel.envoy.adapters import admin
from handsel.envoy.options import Options
from handsel.errors import StateError

# Envoys that this process started, for their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}
_FLUSH_MILLISECONDS = "200"
_USUAL = Options()
DRAIN_SECONDS = 5
"""How long connections go on after what they belong to was replaced or taken away, unless said otherwise."""


@dataclass(frozen=True)
class ProcessRecord:
    """Which process it is: pid and start time together name one process for ever (proc(5), field 22)."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessRecord | None:
        """The record of a process that runs now, or None."""
        try:
            # A program's name, in brackets, may be any bytes.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        # A zombie is a process that has ended.
        return None if fields[0] == b"Z" else cls(pid, int(fields[19]))

    @property
    def runs(self) -> bool:
        return ProcessRecord.of(self.pid) == self

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> ProcessRecord | None:
        """The record in a file, or None when there is none that makes sense."""
        try:
            content = json.loads(path.read_text())
            return cls(int(content["pid"]), int(content["start_time"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to this very process (or its group), and to no other that got its pid later."""
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.pid, number)


def start(
    binary: Path,
    bootstrap: dict[str, object],
    *,
    config: Path,
    log: Path,
    record: Path,
    drain_seconds: int = DRAIN_SECONDS,
    options: Options = _USUAL,
) -> ProcessRecord:
    """Start an Envoy. Its own log goes to `log`; the record is written for the next agent. Raises `StateError`.

    `drain_seconds`: see `DRAIN_SECONDS`.
    """
    config.write_text(json.dumps(bootstrap))
    arguments = [
        str(binary),
        "--config-path", str(config),
        "--disable-hot-restart",
        "--drain-time-s", str(drain_seconds),
        "--file-flush-interval-msec", _FLUSH_MILLISECONDS,
        *options.arguments(),
    ]  # fmt: skip
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603  # the binary that was found, our own arguments, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "")},
        )
    except OSError as error:
        raise StateError(f"{binary} cannot be started: {error.strerror}") from error
    finally:
        os.close(descriptor)
    _children[process.pid] = process
    started = ProcessRecord.of(process.pid)
    if started is None:
        raise StateError(f"{binary} ended at once, see {log}")
    started.save(record)
    return started


async def drain_and_end(process: ProcessRecord, admin_socket: Path, *, drain_seconds: float) -> None:
    """Take no more connections, let requests finish, then end; killed when it does not end in time."""
    if not process.runs:
        return
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(admin.post(admin_socket, "/drain_listeners?graceful"), 1)
    await asyncio.sleep(drain_seconds)
    await end(process)


async def end(process: ProcessRecord, *, patience: float = 2.0, group: bool = False) -> None:
    """SIGTERM, and SIGKILL when that did not help."""
    process.signal(signal.SIGTERM, group=group)
    deadline = asyncio.get_running_loop().time() + patience
    while process.runs:
        _reap(process.pid)
        if asyncio.get_running_loop().time() > deadline:
            process.signal(signal.SIGKILL, group=group)
            deadline = float("inf")
        await asyncio.sleep(0.01)
    _reap(process.pid)


def _reap(pid: int) -> None:
    """Take the exit status when it is a child of ours."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
