"""Telling somebody of an alert: JSON by POST, or on the standard input of a program, which no shell sees."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from handsel.errors import StateError
from handsel.model.telemetry import Sink

_LARGEST_ROOTS = 1 << 20
# What the server was started with may hold secrets.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER")


async def tell(sink: Sink, body: bytes) -> None:
    """Tell a sink. Raises `StateError`, in whose words no address of a webhook is: it may hold a token."""
    seconds = sink.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            await (_post(sink, body) if sink.webhook else _run(sink.command, body))
    except TimeoutError as error:
        raise StateError(f"{name_of(sink)} did not end within {seconds:g} s") from error


def name_of(sink: Sink) -> str:
    """A sink as a log may name it."""
    return f"the webhook at {urlsplit(sink.webhook).hostname}" if sink.webhook else f"the command {sink.command[0]}"


async def _post(sink: Sink, body: bytes) -> None:
    try:
        context = await asyncio.to_thread(_context, sink.roots)
        headers = {"content-type": "application/json", "user-agent": "handsel"}
        # What it answers is not read; where it sends us, we do not go.
        async with (
            httpx2.AsyncClient(verify=context, trust_env=False, timeout=sink.timeout.total_seconds()) as client,
            client.stream("POST", sink.webhook, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise StateError(f"{name_of(sink)} cannot be called: {type(error).__name__}") from error
    if not 200 <= status < 300:
        raise StateError(f"{name_of(sink)} answered {status}")


def _context(roots: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not roots:
        context.load_default_certs()
        return context
    with Path(roots).open("rb") as file:
        context.load_verify_locations(cadata=file.read(_LARGEST_ROOTS).decode())
    return context


async def _run(command: tuple[str, ...], body: bytes) -> None:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise StateError(f"the command {command[0]} cannot be run: {error.strerror}") from error
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read what it is told
            await process.communicate(body)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise StateError(f"the command {command[0]} ended with status {process.returncode}")
