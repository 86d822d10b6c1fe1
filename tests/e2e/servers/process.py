"""A server of somebody else's as an ordinary process, in a folder of its own, for as long as a test needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.mesh_process import environment, wait_for

_START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """Where it listens on the loopback, and the file with what it says."""

    port: int
    log: Path


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, *, ports: Sequence[int], more: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """A command that stays in the foreground, from when it listens on all of `ports` to the end of the block.

    Gives the file with what it says. `more`: environment variables. It ends with every process that it started, at once: its folder is thrown away.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**environment(), **(more or {})}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(
            lambda: all(map(_listens, ports)) or process.poll() is not None,
            _START_SECONDS,
            f"{name} listens, see {log}",
        )
        assert process.poll() is None, log.read_text(errors="replace")
        yield log
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(
    folder: Path, *command: str, more: Mapping[str, str] | None = None, seconds: float = 30
) -> subprocess.CompletedProcess[str]:
    """Run a client in `folder` to its end: a Python program, or a command."""
    program = [sys.executable] if command[0].endswith(".py") else []
    return subprocess.run(
        [*program, *command], cwd=folder, env={**environment(), **(more or {})}, capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
