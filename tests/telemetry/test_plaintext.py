"""The summary of a log: who called without TLS, and whether a service can be strict."""

from __future__ import annotations

import json
from typing import Any

from handsel.telemetry.plaintext import hear, verdict


def line(event: str, peer: str, start: str, **more: Any) -> str:
    return json.dumps({"event": event, "peer": peer, "start": start, **more})


PLAIN = {"plaintext": "yes", "port": "8081"}
LINES = [
    line(
        "inbound_connected",
        "10.0.0.1:1000",
        "2026-01-01T00:00:00Z",
        type="TcpUpstreamConnected",
        peer_uri="spiffe://a/b",
    ),
    line("inbound_connected", "10.0.0.2:1000", "2026-01-01T00:00:01Z", type="TcpUpstreamConnected", **PLAIN),
    line("inbound", "10.0.0.2:1000", "2026-01-01T00:00:01Z", tls_failure="TLS_error|HTTP_REQUEST"),
    line("inbound_connected", "10.0.0.2:1000", "2026-01-01T00:00:01Z", type="TcpConnectionEnd", **PLAIN),
    line("inbound_request", "[2001:db8::1]:2000", "2026-01-01T00:00:02Z", **PLAIN),
    line("inbound_request", "[2001:db8::1]:2000", "2026-01-01T00:00:03Z", **PLAIN),
    line("inbound", "10.0.0.3:3000", "2026-01-01T00:00:04Z", tls_failure="TLS_error:WRONG_VERSION_NUMBER"),
    line("inbound", "10.0.0.3:3001", "2026-01-01T00:00:04Z", tls_failure="TLS_error:CERTIFICATE_VERIFY_FAILED"),
    "no line of ours",
    "[]",
]


def test_senders_are_counted_once_a_connection_or_request():
    heard = hear("emoji", LINES)
    senders = {(each.address, each.port): (each.count, each.refused, each.last) for each in heard.senders.values()}
    assert senders == {
        ("10.0.0.2", 8081): (1, 0, "2026-01-01T00:00:01Z"),
        ("2001:db8::1", 8081): (2, 0, "2026-01-01T00:00:03Z"),
        ("10.0.0.3", 0): (0, 1, "2026-01-01T00:00:04Z"),
    }
    assert heard.count == 3
    assert heard.since == "2026-01-01T00:00:00Z"


def test_a_service_is_safe_only_when_something_was_heard_and_none_of_it_in_plaintext():
    assert "not yet" in verdict(hear("emoji", LINES), ["permissive"])
    assert "safe to go STRICT" in verdict(hear("emoji", LINES[:1]), ["permissive"])
    assert "nobody knows" in verdict(hear("emoji", []), ["permissive"])
    assert verdict(hear("emoji", LINES), ["strict"]) == "emoji is strict"


def test_a_flood_of_addresses_costs_no_more_than_a_thousand():
    flood = (line("inbound_request", f"10.{i >> 8}.{i & 255}.1:9", "t", **PLAIN) for i in range(3000))
    heard = hear("emoji", flood)
    assert len(heard.senders) <= 1001
    assert heard.count == 3000
