"""Envoy's statistics, as its admin door prints them, read as what a proxy counted: of its own port, and per callee."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TARGET = "/stats?usedonly&histogram_buckets=cumulative"
"""What to ask of the admin door: a line a statistic, only those that were ever counted."""
LARGEST_ANSWER = 4 << 20
"""Bytes that are read of an answer: some 40 000 lines."""
_MOST_CALLEES = 2000
# Clusters and statistics of the proxy's own plumbing: the agent, the program, the collector of traces.
_OWN = "_"

_TLS = r"ssl\.(?:versions|curves)\.\S+|ssl\.fail_verify_\w+|ssl\.connection_error"
_CLUSTER = re.compile(
    r"cluster\.(?P<name>\S+?)\.(?P<what>upstream_cx_(?:total|active|connect_fail|rx_bytes_total|tx_bytes_total)"
    rf"|upstream_rq_(?:total|[1-5]xx|time)|grpc\.\d{{1,2}}|{_TLS})"
)
_INBOUND = re.compile(
    rf"(?P<door>listener|http)\.inbound(?:\.(?!worker_)[^.]+)?\.(?P<what>downstream_cx_total|downstream_rq_(?:total|[1-5]xx)|{_TLS})"
)
_PLAINTEXT = "tls_inspector.tls_not_found"
_DENIED = re.compile(r"(?:http\.)?inbound(?:\.[^.]+)?\.rbac\.denied")
_BUCKET = re.compile(r"B([\d.e+]+)\(\d+,(\d+)\)")


@dataclass(frozen=True)
class Counts:
    """What was counted on one side of a proxy since it started.

    `failures`: connections that could not be made; `responses` by class, such as `5xx`, and for gRPC also by the name
    of the status; `received` and `sent` are bytes; `tls_versions` and `tls_groups` count handshakes; `refused` counts
    connections and requests by reason; `times`: how many requests took at most so many milliseconds.
    """

    connections: int = 0
    active: int = 0
    failures: int = 0
    requests: int = 0
    received: int = 0
    sent: int = 0
    responses: Mapping[str, int] = field(default_factory=dict)
    grpc: Mapping[str, int] = field(default_factory=dict)
    tls_versions: Mapping[str, int] = field(default_factory=dict)
    tls_groups: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[float, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Requests that failed: answers from 500 on, or another gRPC status than OK, which comes with an HTTP 200."""
        return max(self.responses.get("5xx", 0), sum(self.grpc.values()) - self.grpc.get("OK", 0))


@dataclass(frozen=True)
class ProxyCounts:
    """What one proxy counted: `inbound` at its mesh ports, `callees` by name.

    `plaintext`: connections without TLS at ports that look which it is.
    """

    inbound: Counts = field(default_factory=Counts)
    callees: Mapping[str, Counts] = field(default_factory=dict)
    plaintext: int = 0


_REASONS = {
    "fail_verify_san": "identity",
    "fail_verify_error": "certificate",
    "fail_verify_no_cert": "no certificate",
    "fail_verify_cert_hash": "certificate",
    "connection_error": "handshake",
}
"""Envoy's words for why TLS was refused, and ours."""
_GRPC = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""gRPC's statuses, by number (grpc/doc/statuscodes.md)."""
_NUMBERS = {
    "upstream_cx_total": "connections", "downstream_cx_total": "connections", "upstream_cx_active": "active",
    "upstream_cx_connect_fail": "failures", "upstream_rq_total": "requests", "downstream_rq_total": "requests",
    "upstream_cx_rx_bytes_total": "received", "upstream_cx_tx_bytes_total": "sent",
}  # fmt: skip


class _Counting:
    """One side while its lines are read."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.maps: dict[str, dict[str, int]] = {}
        self.times: dict[float, int] = {}

    def add(self, what: str, value: str) -> None:
        if what.endswith("upstream_rq_time"):
            for limit, count in _BUCKET.findall(value):
                self.times[float(limit)] = self.times.get(float(limit), 0) + int(count)
            return
        number = int(value) if value.isdecimal() else 0
        if what in _NUMBERS:
            name = _NUMBERS[what]
            self.numbers[name] = self.numbers.get(name, 0) + number
        elif what.startswith("grpc."):
            status = int(what.removeprefix("grpc."))
            self._count("grpc", _GRPC[status] if status < len(_GRPC) else "UNKNOWN", number)
        elif what.startswith("ssl.versions."):
            self._count("tls_versions", what.removeprefix("ssl.versions."), number)
        elif what.startswith("ssl.curves."):
            self._count("tls_groups", what.removeprefix("ssl.curves."), number)
        elif what.startswith("ssl."):
            self._count("refused", _REASONS.get(what.removeprefix("ssl."), "handshake"), number)
        else:
            self._count("responses", what[-3:], number)

    def _count(self, name: str, key: str, number: int) -> None:
        by_key = self.maps.setdefault(name, {})
        by_key[key] = by_key.get(key, 0) + number

    def deny(self, value: str) -> None:
        self._count("refused", "policy", int(value) if value.isdecimal() else 0)

    def done(self) -> Counts:
        return Counts(**self.numbers, **self.maps, times=self.times)  # type: ignore[arg-type]  # names of its fields


def parse(text: str) -> ProxyCounts:
    """The statistics in the answer to `TARGET`. Lines that are none of ours are passed over."""
    inbound, plaintext = _Counting(), 0
    callees: dict[str, _Counting] = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        if found := _CLUSTER.fullmatch(name):
            # Behind a dot is the name of a subset. `external` and `internal` repeat what was counted, by where a
            # request came from.
            callee, _, subset = found["name"].partition(".")
            if callee.startswith(_OWN) or (subset.endswith(("external", "internal")) and "_rq_" in found["what"]):
                continue
            if callee in callees or len(callees) < _MOST_CALLEES:
                callees.setdefault(callee, _Counting()).add(found["what"], value)
        elif (found := _INBOUND.fullmatch(name)) and not _is_repeated(found["door"], found["what"]):
            inbound.add(found["what"], value)
        elif name == _PLAINTEXT and value.isdecimal():
            plaintext = int(value)
        elif _DENIED.fullmatch(name):
            inbound.deny(value)
    return ProxyCounts(inbound.done(), {name: each.done() for name, each in callees.items()}, plaintext)


def _is_repeated(door: str, what: str) -> bool:
    """Whether both a listener and its connection manager count this: the connections of a port are the listener's."""
    return door == "http" and what == "downstream_cx_total"
