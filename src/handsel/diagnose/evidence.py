"""What proxies wrote about a connection, and how the two ends join.

A line is one JSON object of a workload's access log (`mesh/render/log.py` says which fields). The caller's
`upstream_local` is the callee's `peer`: one TCP connection, seen from both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True)
class TlsSeen:
    """A mutual TLS connection as both of its proxies saw it.

    `caller` is the identity that the callee verified, `callee` the one that the caller verified.
    """

    version: str
    group: str
    caller: str
    callee: str


def parse_lines(text: str) -> list[Line]:
    """The lines that are whole; a line that is just being written is left for the next reading."""
    lines: list[Line] = []
    for raw in text.splitlines(keepends=True):
        if not raw.endswith("\n"):
            break
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def outbound_line(lines: Iterable[Line], client: str) -> Line | None:
    """The caller's line of the connection or request that came from `client` (address and port of the program).

    On layer 7 only a request counts whose answer came from upstream, not one that the proxy answered itself.
    """
    for line in lines:
        if line.get("client") != client:
            continue
        if line.get("event") == "outbound" and line.get("tls_version"):
            return line
        if line.get("event") == "outbound_request" and line.get("details") == "via_upstream":
            return line
    return None


def inbound_line(lines: Sequence[Line], peer: str, path: str = "") -> Line | None:
    """The callee's last line of a connection from `peer`, at which its program was reached.

    On layer 7, where one connection carries many requests, `path` picks the request.
    """
    for line in reversed(lines):
        if line.get("peer") != peer:
            continue
        # Only this type says that the program was reached: the end of a connection is logged for refused ones too.
        if line.get("event") == "inbound_connected" and line.get("type") == "TcpUpstreamConnected":
            return line
        if line.get("event") == "inbound_request" and line.get("path") == path:
            return line
    return None


def join(outbound: Line, inbound: Line) -> TlsSeen | None:
    """What both ends agree on, or None when they contradict each other or one saw no TLS."""
    version, group = outbound.get("tls_version"), outbound.get("tls_group")
    if not version or version != inbound.get("tls_version") or group != inbound.get("tls_group"):
        return None
    caller, callee = inbound.get("peer_uri"), outbound.get("peer_uri")
    if caller != outbound.get("local_uri") or callee != inbound.get("local_uri"):
        return None
    return TlsSeen(str(version), str(group), str(caller), str(callee))


def refused_by_name(lines: Iterable[Line], client: str) -> bool:
    """Whether the caller's proxy refused the callee that this connection or request was for, by its name."""
    return any(
        line.get("client") == client and "SAN_matcher" in str(line.get("tls_failure")).replace(" ", "_")
        for line in lines
    )
