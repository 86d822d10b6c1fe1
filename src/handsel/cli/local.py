"""Calls to the sockets of this machine: the server's admin socket and the agent's control socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from handsel import settings
from handsel.errors import HandselError, Unreachable

_TIMEOUT_SECONDS = 30.0


def call_server(state: Path, method: str, path: str, body: object = None) -> Any:
    """Ask the server that runs on this state folder. Raises `Unreachable`."""
    return _call(settings.runtime_folder(state) / "admin.sock", "server", method, path, body)


def call_agent(state: Path, method: str, path: str, body: object = None) -> Any:
    """Ask the agent that runs on this state folder. Raises `Unreachable`."""
    return _call(settings.runtime_folder(state) / "control.sock", "agent", method, path, body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def _call(path: Path, part: str, method: str, target: str, body: object) -> Any:
    connection = _UnixConnection(path)
    try:
        connection.request(method, target, body=None if body is None else json.dumps(body))
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"no {part} answers at {path}", next_step=f"is the {part} running, and is --state the same?"
        ) from error
    finally:
        connection.close()
    if response.status != 200:
        code, _, message = content.decode(errors="replace").partition(" ")
        error_type = type("Answered", (HandselError,), {"code": code})
        raise error_type(message)
    return json.loads(content)
