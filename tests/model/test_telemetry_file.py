"""`telemetry:` in the mesh file: what it says, and every fault with its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from handsel.model.graph import Mesh
from handsel.model.telemetry import AlertKind, Sink, Telemetry, Tracing
from tests.support import read_mesh


def _read(text: str) -> Mesh:
    return read_mesh(f"services: {{web: {{}}}}\ntelemetry:\n{text}")


def test_nothing_is_seen_beyond_connections_until_it_is_asked_for() -> None:
    mesh = read_mesh("services: {web: {}}")
    assert mesh.telemetry == Telemetry()
    assert not mesh.requests_seen


def test_everything_that_can_be_said() -> None:
    mesh = _read(
        """\
  requests: true
  tracing: {endpoint: "127.0.0.1:4317", sampling: 0.5%}
  alerts:
    - {webhook: "https://hooks.example.com/T0KEN", on: [expiry, nack], roots: hooks.pem}
    - {command: [notify, --now], timeout: 3s}
"""
    )
    assert mesh.telemetry == Telemetry(
        True,
        Tracing("127.0.0.1", 4317, 0.5),
        (
            Sink(
                "https://hooks.example.com/T0KEN", (), frozenset({AlertKind.EXPIRY, AlertKind.NACK}),
                "/etc/shop/hooks.pem",
            ),
            Sink("", ("notify", "--now"), frozenset(AlertKind), "", timedelta(seconds=3)),
        ),
    )  # fmt: skip


def test_a_trace_is_of_requests_so_they_are_seen() -> None:
    assert _read('  tracing: {endpoint: "[::1]:4317"}\n').requests_seen
    assert _read('  tracing: {endpoint: "[::1]:4317"}\n').telemetry.tracing == Tracing("::1", 4317, 1.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('  tracing: {endpoint: "collector"}', "3:13: telemetry.tracing.endpoint: 'collector' is no host:port"),
        ('  tracing: {endpoint: "a:99999"}', "is no host:port"),
        ('  tracing: {endpoint: "10.0.0.5:4317"}', "spans would leave this host in plaintext"),
        ('  tracing: {endpoint: "127.0.0.1:1", sampling: 101%}', "a share is a number from 0% to 100%"),
        ('  tracing: {endpoint: "127.0.0.1:1", sampling: "1"}', "a share is a number from 0% to 100%"),
        ("  alerts: [{}]", "an alert goes to a webhook or to a command"),
        ('  alerts: [{webhook: "https://a.example", command: [a]}]', "an alert goes to a webhook or to a command"),
        ('  alerts: [{webhook: "http://a.example/"}]', "must be an https address"),
        ('  alerts: [{webhook: "https://user:word@a.example/"}]', "must be an https address"),
        ('  alerts: [{webhook: "https://a.example:x/"}]', "must be an https address"),
        ("  alerts: [{command: []}]", "a command is a list with a program first"),
        ("  alerts: [{command: [a], roots: b.pem}]", "belongs to a webhook"),
        ("  alerts: [{command: [a], timeout: 2h}]", "must be between 1s and 1m"),
        ("  alerts: [{command: [a], on: [expirey]}]", "telemetry.alerts[0].on[0]"),
        ("  metrics: true", "unknown key"),
    ],
)
def test_a_fault_has_its_place(text: str, fault: str) -> None:
    with pytest.raises(InvalidFile) as found:
        _read(text + "\n")
    assert fault in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        '  tracing: {endpoint: "10.0.0.5:4317", plaintext: true}',
        '  tracing: {endpoint: "localhost:4317", sampling: 100%}',
        '  alerts: [{webhook: "http://127.0.0.1:9000/hook"}]',
    ],
)
def test_the_same_said_rightly_is_taken(text: str) -> None:
    _read(text + "\n")
