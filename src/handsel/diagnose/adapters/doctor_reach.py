"""Whether agent and servers answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from handsel.diagnose.doctor.reach import Server

_SECONDS = 5.0
_LONGEST = 4 << 20


def ask_local(path: Path, target: str) -> tuple[dict[str, Any], str]:
    """What a socket of ours answers to a GET, and why it does not."""
    try:
        with contextlib.closing(_UnixConnection(path)) as connection:
            connection.request("GET", target)
            answer = json.loads(connection.getresponse().read(_LONGEST))
    except FileNotFoundError:
        return {}, "it does not run"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {}, str(error) or type(error).__name__
    return (answer, "") if isinstance(answer, dict) else ({}, "it answers what we do not understand")


def healthz(url: str, server_name: str, roots_pem: bytes) -> tuple[Server, datetime | None]:
    """Whether a server answers as the one of these roots and this name, and what time it says that it is."""
    place = urlsplit(url)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=roots_pem.decode())
        connection = _ServerConnection(place.hostname or "", place.port or 443, context, server_name)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read(_LONGEST)
    except ssl.SSLCertVerificationError as error:
        return Server(url, error.verify_message or str(error), verified=False), None
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Server(url, str(error) or type(error).__name__), None
    problem = "" if answer.status == http.client.OK else f"it says {answer.status} to /healthz"
    return Server(url, problem), _date(answer.getheader("date", ""))


def _date(text: str | None) -> datetime | None:
    with contextlib.suppress(ValueError, TypeError):
        return parsedate_to_datetime(text or "").astimezone(UTC)
    return None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


class _ServerConnection(http.client.HTTPConnection):
    """TLS to one address, checked for another name: every server's certificate carries the same one."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=_SECONDS)
        self._tls, self._name = context, server_name

    def connect(self) -> None:
        super().connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
