"""Telling a program that its files are new: a signal, a command without a shell, a call of HTTP to this host."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx2

from handsel.errors import StateError
from handsel.model.delivery import SIGNALS, Reload

_MOST_OUTPUT = 1000
_PIPE, _PART = 1 << 16, 1 << 14
"""Bytes that a pipe holds (pipe(7)), and that are read at once."""
_LARGEST_PID = 1 << 22
_KILL_SECONDS = 5
_GOOD = range(200, 300)
NO_COMMANDS = "a command that the server asks for is not run here"
ALLOW_THEM = "start the agent with --allow-commands, or ask for the files on this host: handsel cert issue"


async def reload(wish: Reload, *, may_run: bool) -> None:
    """Do it. `may_run`: whether a command may be run. Raises `StateError` with why it failed."""
    if wish.command:
        if not may_run:
            raise StateError(NO_COMMANDS, next_step=ALLOW_THEM)
        await _run(wish)
    elif wish.signal:
        await _send(wish.signal, Path(wish.pid_file))
    elif wish.url:
        await _call(wish)


async def _send(name: str, pid_file: Path) -> None:
    if name not in SIGNALS:
        raise StateError(f"{name} is no signal for a reload: {', '.join(SIGNALS)}")
    pid, owner = _pid_of(pid_file)
    try:
        process = os.pidfd_open(pid)  # from here on nobody else can have this number
    except OSError as error:
        raise StateError(f"no process {pid} runs, of which {pid_file} says that it does") from error
    try:
        if owner in (0, os.geteuid()):
            signal.pidfd_send_signal(process, signal.Signals[f"SIG{name}"])
        else:
            await asyncio.to_thread(_send_as, owner, name, pid, pid_file)
    except OSError as error:
        raise StateError(f"the process {pid} of {pid_file} cannot be told: {error.strerror}") from error
    finally:
        os.close(process)


def _send_as(owner: int, name: str, pid: int, pid_file: Path) -> None:
    """With the rights of the file's owner: whoever writes it must not choose among the processes of others."""
    try:
        command = [shutil.which("kill") or "kill", "-s", name, str(pid)]
        done = subprocess.run(  # noqa: S603  # a number and one of three words
            command, user=owner, extra_groups=[], env={}, capture_output=True, timeout=_KILL_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StateError(f"{pid_file} is of another user, with whose rights nothing is sent from here") from error
    if done.returncode:
        raise StateError(f"{pid_file} names the process {pid}, which the file's owner may not tell anything")


def _pid_of(path: Path) -> tuple[int, int]:
    """The process that a file names, and whose the file is."""
    try:
        with path.open("rb") as file:
            status, said = os.fstat(file.fileno()), file.read(64)
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}", next_step="is the program running?") from error
    word = said.partition(b"\n")[0].strip()
    if not word.isdigit() or not 1 < int(word) < _LARGEST_PID:
        raise StateError(f"{path} holds no process id")
    if status.st_mode & 0o002:
        raise StateError(f"{path} can be written by everybody", next_step=f"chmod o-w {path}")
    return int(word), status.st_uid


async def _run(wish: Reload) -> None:
    program = wish.command[0]
    with _Output() as output:
        try:
            # Not asyncio's: whoever is cancelled while it starts a process would leave that behind.
            process = subprocess.Popen(  # noqa: S603, ASYNC220  # split into words, no shell
                wish.command, stdin=subprocess.DEVNULL, stdout=output.writable, stderr=output.writable,
                start_new_session=True, cwd="/", env=_environment(),
            )  # fmt: skip
        except OSError as error:
            raise StateError(f"{program} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(wish.timeout.total_seconds()):
                await _ended(process.pid)
        except TimeoutError as error:
            seconds = f"{wish.timeout.total_seconds():g} s"
            raise StateError(f"{program} did not end within {seconds}, and was ended{output.quoted()}") from error
        finally:
            if process.poll() is None:
                _end_group(process.pid)
            process.wait()
        if process.returncode:
            raise StateError(f"{program} ended with status {process.returncode}{output.quoted()}")


async def _ended(pid: int) -> None:
    """Until a child of ours has ended."""
    loop, ended, process = asyncio.get_running_loop(), asyncio.Event(), os.pidfd_open(pid)
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)


class _Output:
    """What a command says: all is read, so that it never waits for us, and the last of it is kept.

    A pipe of our own: asyncio's would be waited for as long as something that the command left behind has it.
    """

    def __init__(self) -> None:
        self._readable, self.writable = os.pipe()
        os.set_blocking(self._readable, False)
        self._said = bytearray()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._readable, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._readable)
        os.close(self._readable)
        os.close(self.writable)

    def quoted(self) -> str:
        """Its last words on one line, without what would move a terminal's cursor."""
        for _ in range(_PIPE // _PART):
            self._take()
        words = " ".join(bytes(self._said).decode(errors="replace").split())
        shown = "".join(each for each in words if each.isprintable())
        return f": {shown}" if shown else ""

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._said += os.read(self._readable, _PART)
            del self._said[:-_MOST_OUTPUT]


def _end_group(pid: int) -> None:
    """It and what it has started: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Little: what the agent was started with may hold secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER")
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} | {
        name: os.environ[name] for name in kept if name in os.environ
    }


async def _call(wish: Reload) -> None:
    host = urlsplit(wish.url).hostname or ""
    if host != "localhost" and not _is_loopback(host):
        raise StateError(f"{wish.url} is not on this host")
    seconds = wish.timeout.total_seconds()
    try:
        # What it answers is not read; where it sends us, we do not go.
        async with (
            asyncio.timeout(seconds),
            httpx2.AsyncClient(trust_env=False, timeout=seconds) as client,
            client.stream(wish.method, wish.url) as answer,
        ):
            status = answer.status_code
    except TimeoutError as error:
        raise StateError(f"{wish.url} did not answer within {seconds:g} s") from error
    except httpx2.HTTPError as error:
        raise StateError(f"{wish.url} cannot be called: {error}") from error
    if status not in _GOOD:
        raise StateError(f"{wish.url} answered {status}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
