"""The kubelet's probes and hooks of a pod's programs, which the sidecar carries out: what is asked, and what of whom.

The kubelet has no certificate, so `handsel mesh inject` leads its questions to the sidecar and keeps, by their paths
there, what they were: JSON in the words of Kubernetes (`httpGet`, `tcpSocket`, `grpc`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from handsel.errors import UsageError
from handsel.model.faults import short

LARGEST_TEXT = 256 << 10
"""Bytes of all probes; Linux lets a variable have 128 KiB."""
LARGEST_BODY = 10 << 10
"""Bytes of an answer that are handed on (the kubelet reads no more)."""
MOST_REDIRECTS = 10
_HOOK_SECONDS = 300.0
_LONGEST_SECONDS = 3600
_PATH = re.compile(
    r"/app-health/[a-z0-9-]{1,63}/(livez|readyz|startupz)|/app-lifecycle/[a-z0-9-]{1,63}/(poststartz|prestopz)"
)
_TARGET = re.compile(r"[!-~]{0,4096}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,1024}")
_KEPT = "/?%:@!$&'()*+,;=-._~"  # RFC 3986: what a path and a query have as it is
_KINDS = ("httpGet", "tcpSocket", "grpc")
# Of one connection only (RFC 9110, section 7.6.1), or ours to say.
_NOT_HANDED_ON = {
    "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
}  # fmt: skip


@dataclass(frozen=True)
class HttpGet:
    """`target`: path and query."""

    port: int
    target: str = "/"
    https: bool = False

    @property
    def url(self) -> str:
        return f"http{'s' if self.https else ''}://127.0.0.1:{self.port}{self.target}"


@dataclass(frozen=True)
class TcpSocket:
    port: int


@dataclass(frozen=True)
class Grpc:
    """`grpc.health.v1.Health/Check` of a service; of the whole server when it has no name."""

    port: int
    service: str = ""

    def request(self) -> bytes:
        """A `HealthCheckRequest`."""
        name = self.service.encode()
        length = bytes([len(name)]) if len(name) < 128 else bytes([len(name) & 127 | 128, len(name) >> 7])
        return b"\x0a" + length + name if name else b""


SERVING = b"\x08\x01"
"""The `HealthCheckResponse` of a server that is well."""


@dataclass(frozen=True)
class Probe:
    """What is asked, and how long the answer may take."""

    action: HttpGet | TcpSocket | Grpc
    seconds: float


def read(text: str) -> dict[str, Probe]:
    """The probes by their paths. Raises `UsageError`."""
    if len(text) > LARGEST_TEXT:
        raise UsageError(f"the probes have more than {LARGEST_TEXT} bytes")
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the probes are no JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"the probes must be an object, not {short(content)}")
    found = {}
    for path, value in content.items():
        if not _PATH.fullmatch(path):
            raise UsageError(f"{short(path)} is no path of a probe")
        try:
            found[path] = _probe(_object(value, "a probe"), is_hook=path.startswith("/app-lifecycle/"))
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
    return found


def handed_on(headers: Mapping[str, str], port: int, here: int) -> dict[str, str]:
    """The headers of a request, for the program at `port`. `here`: the port at which it was asked."""
    kept = {name: value for name, value in headers.items() if name not in _NOT_HANDED_ON}
    host = headers.get("host", "")
    if host.endswith(f":{here}"):
        host = f"{host.removesuffix(f':{here}')}:{port}"
    # What is handed on is what came: nobody here would undo a compression.
    return {"accept-encoding": "identity", **kept, "host": host or f"127.0.0.1:{port}", "connection": "close"}


def next_url(asked: str, host: str, location: str) -> str | None:
    """Where a redirect leads within the pod; None when it leads away from it, and is the answer itself.

    `asked`: the URL that answered; `host`: the header, by which the program knows this pod.
    """
    try:
        target = urlsplit(urljoin(asked, location))
        mine = {"127.0.0.1", "localhost", "::1", urlsplit(f"//{host}").hostname}
        if target.scheme not in ("http", "https") or target.hostname not in mine:
            return None
        port = target.port or (443 if target.scheme == "https" else 80)
    except ValueError:
        return None
    path = f"{target.path or '/'}{'?' if target.query else ''}{target.query}"
    return f"{target.scheme}://127.0.0.1:{port}{path}" if _TARGET.fullmatch(path) else None


def _probe(value: Mapping[str, Any], *, is_hook: bool) -> Probe:
    kinds = [kind for kind in _KINDS if kind in value]
    if len(kinds) != 1:
        raise ValueError(f"must have one of {', '.join(_KINDS)}")
    action = _object(value[kinds[0]], kinds[0])
    port = _number(action.get("port"), "port", 65535)
    if is_hook and kinds[0] != "httpGet":
        raise ValueError("a hook is httpGet")
    usual = _HOOK_SECONDS if is_hook else 1
    seconds = (
        _number(value["timeoutSeconds"], "timeoutSeconds", _LONGEST_SECONDS) if "timeoutSeconds" in value else usual
    )
    if kinds[0] == "tcpSocket":
        return Probe(TcpSocket(port), seconds)
    if kinds[0] == "grpc":
        return Probe(Grpc(port, _text(action.get("service"), "service")), seconds)
    target, scheme = _text(action.get("path"), "path"), _text(action.get("scheme"), "scheme") or "HTTP"
    if scheme not in ("HTTP", "HTTPS"):
        raise ValueError(f"scheme must be HTTP or HTTPS, not {short(scheme)}")
    target = quote(target.partition("#")[0].removeprefix("/"), safe=_KEPT)
    return Probe(HttpGet(port, f"/{target}", scheme == "HTTPS"), seconds)


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, not {short(value)}")
    return value


def _number(value: Any, what: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{what} is a number from 1 to {most}, not {short(value)}")
    return value


def _text(value: Any, what: str) -> str:
    text = "" if value is None else value
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise ValueError(f"{what} must be text of one line, of at most 1024 characters, not {short(value)}")
    return text
