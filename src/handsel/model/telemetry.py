"""What is to be seen of the mesh: requests, traces, alerts. Of a valid file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class AlertKind(StrEnum):
    """What somebody wants to be told of."""

    EXPIRY = "expiry"
    NACK = "nack"
    REPLAYED_TICKET = "replayed_ticket"
    PLAINTEXT = "plaintext"


@dataclass(frozen=True)
class Tracing:
    """Where proxies send their spans, by OTLP over gRPC, and of how many requests: `sampling` is 0 to 100 percent."""

    host: str
    port: int
    sampling: float


@dataclass(frozen=True)
class Sink:
    """Who is told of alerts: a `webhook` (JSON by POST) or a `command` (JSON on its standard input, no shell).

    `roots`: a PEM file to check the webhook's certificate with, absolute; empty: the system's.
    """

    webhook: str = ""
    command: tuple[str, ...] = ()
    on: frozenset[AlertKind] = frozenset(AlertKind)
    roots: str = ""
    timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class Telemetry:
    """`requests`: whether ports are layer 7, so that single requests are seen."""

    requests: bool = False
    tracing: Tracing | None = None
    alerts: tuple[Sink, ...] = ()

    @property
    def sees_requests(self) -> bool:
        """Whether ports are layer 7: a span is of a request."""
        return self.requests or self.tracing is not None
