"""The programs of services: started beside their sidecars, restarted with backoff, ended in order, recorded.

The record lets the next start end a program that was left behind when its starter was killed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from handsel.agent import renewal
from handsel.agent.adapters.host import launch
from handsel.agent.adapters.host.network import inside
from handsel.agent.holdings import program_environment
from handsel.agent.model import Start
from handsel.envoy.adapters import process
from handsel.envoy.adapters.process import ProcessRecord
from handsel.errors import UsageError

_log = structlog.get_logger("handsel.agent")
_STEADY_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class ProgramPlace:
    """Where a program's record and output go, and where it starts."""

    record: Path
    log: Path
    folder: Path


class Program:
    """One service's program. `watch_over` is called again and again."""

    def __init__(self, service: str, command: Sequence[str], start: Start, place: ProgramPlace) -> None:
        self.service = service
        self._program = command
        owner = (start.owner.uid, start.owner.gid) if start.owner else None
        self._command = launch.command(command, owner, start.hosts, start.network)
        variables = {**start.environment, "PYTHONUNBUFFERED": "1"}
        self._environment = program_environment(os.environ, variables, Path(sys.executable).parent)
        self._place = place
        self._child: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._started_at = 0.0
        self._not_before = 0.0
        self.restarts = 0
        self.last_exit: int | None = None

    def start(self) -> None:
        """Start it now. Raises `UsageError` when there is no such program."""
        self._started_at = time.monotonic()
        self._check()
        descriptor = os.open(self._place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603  # what the mesh file says, split into words, no shell
                list(self._command),
                cwd=self._place.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        except OSError as error:
            raise self._not_started(error.strerror or "") from error
        finally:
            os.close(descriptor)
        started = ProcessRecord.of(self._child.pid)
        if started is not None:
            started.save(self._place.record)

    def _check(self) -> None:
        name = self._program[0]
        found = self._place.folder / name if "/" in name else shutil.which(name, path=self._environment["PATH"])
        if found is None or not Path(found).exists():
            raise self._not_started(os.strerror(errno.ENOENT))

    def _not_started(self, why: str) -> UsageError:
        return UsageError(
            f"the command of {self.service} cannot be started: {self._program[0]}: {why}",
            next_step="check its `command` in the mesh file",
        )

    def watch_over(self) -> int | None:
        """Restart it when it has ended. Returns the exit status of an end that was seen just now."""
        if self._child is None:
            if time.monotonic() >= self._not_before:
                self.start()
            return None
        status = self._child.poll()
        if status is None:
            return None
        now = time.monotonic()
        self._child = None
        self.restarts += 1
        self.last_exit = status
        self._failures = 1 if now - self._started_at > _STEADY_SECONDS else self._failures + 1
        self._not_before = now + renewal.backoff(self._failures).total_seconds()
        _log.warning("program ended", service=self.service, status=status, failures=self._failures)
        return status

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def stop(self) -> None:
        """End it and everything it started: SIGTERM, and SIGKILL after five seconds."""
        if self._child is not None:
            record = ProcessRecord.of(self._child.pid)
            if record is not None:
                await process.end(record, patience=_PATIENCE_SECONDS, group=True)
            self._child.wait()
        self._place.record.unlink(missing_ok=True)


async def end_left_behind(records: Sequence[Path]) -> list[str]:
    """End the programs that a killed starter left running. Returns their services' names."""
    ended = []
    for path in records:
        record = ProcessRecord.load(path)
        if record is not None and record.runs:
            record.signal(signal.SIGTERM, group=True)
            await process.end(record, patience=_PATIENCE_SECONDS, group=True)
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


async def wait_until_listening(
    port: int, seconds: float, gone: asyncio.Event | None = None, *, network: str = ""
) -> bool:
    """Whether somebody accepts connections on a loopback port within so many seconds. `network`: see `Start`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (gone and gone.is_set()):
        if await asyncio.to_thread(inside, network, partial(_accepts, port)):
            return True
        await asyncio.sleep(0.05)
    return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
