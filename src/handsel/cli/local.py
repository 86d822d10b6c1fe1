"""Calls to the sockets of this machine: the server's admin socket and the agent's control socket."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path
from typing import Any

from handsel import settings
from handsel.errors import ExitCode, FileFault, HandselError, InvalidFile, Unreachable

_TIMEOUT_SECONDS = 30.0
_FAULT = re.compile(r"(.+?):(\d+):(\d+): (.*)")


def call_server(state: Path, method: str, path: str, body: object = None) -> Any:
    """Ask the server that runs on this state folder, or the one that an administrator's folder is for.

    Raises `Unreachable`, or the error that it answers.
    """
    if (state / "admin.json").exists():
        from handsel.wiring.admin_folder import AdminFolder

        remote = AdminFolder(state).connection(_TIMEOUT_SECONDS)
        return _call(remote, f"server at {remote.host}:{remote.port}", method, f"/admin{path}", body)
    socket_path = _socket_of(state, "admin.sock", "server")
    return _call(_UnixConnection(socket_path), f"server at {socket_path}", method, path, body)


def call_agent(state: Path, method: str, path: str, body: object = None) -> Any:
    """Ask the agent that runs on this state folder. Raises `Unreachable`."""
    socket_path = _socket_of(state, "control.sock", "agent")
    return _call(_UnixConnection(socket_path), f"agent at {socket_path}", method, path, body)


def _socket_of(state: Path, name: str, whom: str) -> Path:
    path = settings.runtime_folder(state) / name
    try:
        path.stat()
    except PermissionError as error:
        raise Unreachable(
            f"the {whom} of {state} belongs to another user", next_step=f"run this as the {whom}'s user, or as root"
        ) from error
    except OSError as error:
        next_step = "is it running, as this user, and is --state the same?"
        raise Unreachable(f"no {whom} runs on the state folder {state} ({path})", next_step=next_step) from error
    return path


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def _call(connection: http.client.HTTPConnection, whom: str, method: str, target: str, body: object) -> Any:
    try:
        connection.request(method, target, body=None if body is None else json.dumps(body))
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"no {whom} answers: {error}", next_step="is it running, and is --state the same?") from error
    finally:
        connection.close()
    if response.status != 200:
        code, _, message = content.decode(errors="replace").partition(" ")
        if code == InvalidFile.code:
            raise InvalidFile([_fault(line) for line in message.splitlines()])
        exit_code = ExitCode.UNREACHABLE if response.status == 401 else ExitCode.FAILED
        error_type = type("Answered", (HandselError,), {"code": code, "exit_code": exit_code})
        what, _, next_step = message.partition("\n")
        raise error_type(what, next_step=next_step)
    return json.loads(content)


def _fault(line: str) -> FileFault:
    """A fault as it was told: `file:line:column: what`."""
    match = _FAULT.fullmatch(line)
    return FileFault(match[1], int(match[2]), int(match[3]), "", match[4]) if match else FileFault("", 1, 1, "", line)
