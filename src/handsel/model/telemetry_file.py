"""`telemetry:` in the mesh file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from handsel.model.durations import Duration
from handsel.model.faults import HOST, FilePath, Strict
from handsel.model.graph import is_address
from handsel.model.telemetry import AlertKind, Sink, Telemetry, Tracing

Faults = Iterator[tuple[tuple[str | int, ...], str]]
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _is_percentage(text: str) -> str:
    match = _PERCENT.fullmatch(text)
    if match is None or float(match[1]) > 100:
        raise ValueError("a share is a number from 0% to 100%, such as 1% or 0.1%")
    return text


class TracingFile(Strict):
    """Where spans go."""

    endpoint: str = Field(description="The collector, host:port, which speaks OTLP over gRPC.")
    sampling: Annotated[str, AfterValidator(_is_percentage)] = Field(
        "1%", description="Of how many requests that come without a trace, such as 1%. A trace that came goes on."
    )
    plaintext: bool = Field(
        False, description="True: spans may leave the host unencrypted, for a collector elsewhere. None has secrets."
    )


class AlertsFile(Strict):
    """Who is told when something is wrong, once, again every hour, and when it is over."""

    webhook: str | None = Field(None, description="An https address (http on loopback) that gets JSON by POST.")
    command: list[str] | None = Field(
        None, description="A program with its arguments, started by the server without a shell; JSON on its stdin."
    )
    on: list[AlertKind] = Field(list(AlertKind), description="Of what. Everything when left out.")
    roots: FilePath | None = Field(None, description="PEM file to check the webhook with. The system's if left out.")
    timeout: Duration = Field(timedelta(seconds=10), description="How long it may take.")


class TelemetryFile(Strict):
    """What is seen."""

    requests: bool = Field(False, description="True makes ports layer 7, so that single requests are seen.")
    tracing: TracingFile | None = Field(
        None, description="Traces of requests, by OpenTelemetry's protocol. Makes ports layer 7."
    )
    alerts: list[AlertsFile] = Field([], description="Who is told when something is wrong.")


def telemetry_faults(content: TelemetryFile) -> Faults:
    """What only the whole can tell, each with its path."""
    if content.tracing is not None:
        yield from ((("tracing", *path), message) for path, message in _tracing_faults(content.tracing))
    for index, each in enumerate(content.alerts):
        yield from ((("alerts", index, *path), message) for path, message in _alert_faults(each))


def _tracing_faults(tracing: TracingFile) -> Faults:
    host, port = _split(tracing.endpoint)
    if not port or not (HOST.fullmatch(host) or is_address(host)):
        yield ("endpoint",), f"{tracing.endpoint!r} is no host:port, such as 127.0.0.1:4317"
    elif host not in _LOOPBACK and not tracing.plaintext:
        yield ("endpoint",), "spans would leave this host in plaintext: write `plaintext: true`, or a local collector"


def _alert_faults(alert: AlertsFile) -> Faults:
    if (alert.webhook is None) == (alert.command is None):
        yield (), "an alert goes to a webhook or to a command: name one of them"
    if alert.webhook is not None and not _is_safe(alert.webhook):
        yield ("webhook",), "must be an https address without a user (http only on loopback)"
    if alert.command is not None and (not alert.command or any("\0" in word for word in alert.command)):
        yield ("command",), "a command is a list with a program first"
    if alert.roots is not None and alert.webhook is None:
        yield ("roots",), "belongs to a webhook"
    if not timedelta(seconds=1) <= alert.timeout <= timedelta(minutes=1):
        yield ("timeout",), "must be between 1s and 1m"


def read_telemetry(content: TelemetryFile, absolute: Callable[[str], str]) -> Telemetry:
    """The same without faults."""
    tracing = None
    if content.tracing is not None:
        host, port = _split(content.tracing.endpoint)
        tracing = Tracing(host, port, float(content.tracing.sampling.rstrip("%")))
    return Telemetry(content.requests, tracing, tuple(_sink(each, absolute) for each in content.alerts))


def _sink(alert: AlertsFile, absolute: Callable[[str], str]) -> Sink:
    roots = absolute(alert.roots) if alert.roots else ""
    return Sink(alert.webhook or "", tuple(alert.command or ()), frozenset(alert.on), roots, alert.timeout)


def _split(endpoint: str) -> tuple[str, int]:
    """Host and port; port 0 when there is none."""
    host, _, port = endpoint.rpartition(":")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0
    return host.removeprefix("[").removesuffix("]"), number if number <= 65535 else 0


def _is_safe(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        there = bool(parsed.hostname) and parsed.username is None and (parsed.port is None or parsed.port > 0)
    except ValueError:
        return False
    return there and (parsed.scheme == "https" or (parsed.scheme == "http" and parsed.hostname in _LOOPBACK))
