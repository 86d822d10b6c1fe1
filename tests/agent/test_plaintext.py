"""Who called without TLS: a count says that it happened, the log says who."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.plaintext import PlaintextSeen, peers
from handsel.link.report import Edge


def _line(peer: str, **more: str) -> str:
    record = {"event": "inbound_request", "peer": peer, "plaintext": "yes", "start": "2030-01-01T12:00:01.500Z", **more}
    return json.dumps(record, separators=(",", ":"))


SINCE = "2030-01-01T12:00:00"


def test_connections_are_counted_by_address_and_once_however_many_requests_they_carry() -> None:
    seen = PlaintextSeen(SINCE)
    assert not seen.wants_log(0)
    lines = [_line("10.0.0.9:1", path="/a"), _line("10.0.0.9:1", path="/b"), _line("10.0.0.9:2"), _line("[::1]:3")]
    assert seen.wants_log(3)
    seen.take(3, [*lines, '{"peer":"10.0.0.7:1","tls_version":"TLSv1.3"}', "broken", '{"plaintext":"yes"}'])
    assert seen.edges("web") == [Edge("10.0.0.9", "web", connections=2), Edge("::1", "web", connections=1)]
    seen.take(3, [*lines, _line("10.0.0.9:4")])
    assert seen.addresses["10.0.0.9"] == 3


def test_what_was_before_the_agent_began_is_no_news() -> None:
    """An Envoy that was adopted counts on, and the log goes on from one Envoy to the next."""
    seen = PlaintextSeen(SINCE)
    assert seen.wants_log(2)
    seen.take(2, [_line("10.0.0.9:1", start="2030-01-01T11:59:59.900Z"), _line("10.0.0.9:2")])
    assert seen.edges("web") == [Edge("10.0.0.9", "web", connections=1)]


def test_a_log_is_looked_at_again_for_what_ends_late_and_not_for_ever() -> None:
    seen = PlaintextSeen(SINCE)
    looks = 0
    while seen.wants_log(1):
        seen.take(1, [])
        looks += 1
    assert looks == 6
    assert seen.wants_log(2)


@given(st.lists(st.text()))
def test_whatever_a_log_says_is_read(lines: list[str]) -> None:
    assert isinstance(peers(lines, SINCE), list)
