"""Both ends of a call are joined, filtered, and read on one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.telemetry.adapters.log_tail import LogTail
from handsel.telemetry.join_logs import Call, Half, Joiner, is_call
from handsel.telemetry.tap import Filter, line, show, to_json

WEB, EMOJI = "spiffe://shop.internal/ns/default/sa/web", "spiffe://shop.internal/ns/default/sa/emoji"
NAMES = {WEB: "web", EMOJI: "emoji"}
TLS = {"tls_version": "TLSv1.3", "tls_group": "X25519MLKEM768", "tls_failure": None}
OUT = Half("web", {
    "event": "outbound_request", "callee": "emoji", "start": "2026-01-01T10:00:00.123Z", "flags": "-",
    "client": "127.0.0.1:1", "upstream_local": "127.0.0.1:5000", "method": "GET", "path": "/find", "status": 200,
    "duration_ms": 3, "local_uri": WEB, "peer_uri": EMOJI, "details": "via_upstream", **TLS,
})  # fmt: skip
IN = Half("emoji", {
    "event": "inbound_request", "start": "2026-01-01T10:00:00.124Z", "flags": "-", "peer": "127.0.0.1:5000",
    "method": "GET", "path": "/find", "status": 200, "duration_ms": 2, "local_uri": EMOJI, "peer_uri": WEB, **TLS,
})  # fmt: skip


def _half(half: Half, **changed: object) -> Half:
    return Half(half.service, {**half.record, **changed})


def _joined(*halves: Half, here: tuple[str, ...] = ("web", "emoji")) -> list[Call]:
    joiner = Joiner(frozenset(here), patience=1.0)
    calls = [call for step, half in enumerate(halves) for call in joiner.take(half, step / 100)]
    return [*calls, *joiner.over(0.9), *joiner.over(5.0)]


@pytest.mark.parametrize("order", [(OUT, IN), (IN, OUT)], ids=["caller first", "callee first"])
def test_both_ends_become_one_call(order: tuple[Half, Half]) -> None:
    assert _joined(*order) == [Call(OUT, IN)]


def test_requests_on_one_connection_are_told_apart() -> None:
    other_out, other_in = _half(OUT, path="/list"), _half(IN, path="/list")
    assert _joined(OUT, other_out, other_in, IN) == [Call(other_out, other_in), Call(OUT, IN)]
    first, second = (_half(OUT, request_id=each) for each in "ab")
    theirs = _half(IN, request_id="b")
    assert _joined(first, second, theirs) == [Call(second, theirs), Call(first, None)]


def test_a_half_waits_for_its_other_end_and_not_for_ever() -> None:
    joiner = Joiner(frozenset({"web", "emoji"}), patience=1.0)
    assert list(joiner.take(OUT, 0.0)) == []
    assert list(joiner.over(0.99)) == []
    assert list(joiner.over(1.0)) == [Call(OUT, None)]
    assert list(joiner.take(IN, 1.1)) == []  # too late to be joined
    assert list(joiner.end()) == [Call(None, IN)]


def test_a_callee_elsewhere_is_not_waited_for() -> None:
    joiner = Joiner(frozenset({"web"}))
    assert list(joiner.take(OUT, 0.0)) == [Call(OUT, None)]


@given(st.lists(st.sampled_from([OUT, IN, _half(OUT, path="/x"), _half(IN, path="/x")]), max_size=20))
def test_every_half_is_shown_once(halves: list[Half]) -> None:
    calls = _joined(*halves)
    shown = [half for call in calls for half in (call.caller, call.callee) if half is not None]
    assert sorted(map(id, shown)) == sorted(map(id, halves))


def test_a_flood_without_other_ends_is_kept_small() -> None:
    joiner = Joiner(frozenset({"web", "emoji"}), patience=1e9)
    shown = sum(len(list(joiner.take(_half(OUT, path=str(number)), 0.0))) for number in range(12_000))
    assert shown == 2000


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        pytest.param({"event": "inbound_request"}, True, id="a request"),
        pytest.param({"event": "inbound", "tls_failure": None}, False, id="the end of a connection that was well"),
        pytest.param({"event": "inbound", "tls_failure": "x"}, True, id="a refused handshake"),
        pytest.param({"event": "outbound", "type": "TcpUpstreamConnected", "upstream_local": "a"}, True, id="begun"),
        pytest.param({"event": "outbound", "type": "TcpConnectionEnd", "upstream_local": "a"}, False, id="ended"),
        pytest.param({"event": "outbound", "type": "TcpConnectionEnd", "upstream_local": None}, True, id="never stood"),
        pytest.param({"event": "something newer"}, False, id="something newer"),
    ],
)
def test_a_call_is_shown_once(record: dict[str, object], shown: bool) -> None:
    assert is_call(record) is shown


def test_a_line_says_who_called_whom_and_how() -> None:
    seen = show(Call(OUT, IN), NAMES)
    assert line(seen) == "10:00:00.123  web → emoji  GET /find  200 3 ms  TLS 1.3 X25519MLKEM768"
    assert (seen.caller_identity, seen.callee_identity, seen.ends) == (WEB, EMOJI, 2)
    assert json.loads(json.dumps(to_json(seen)))["from_identity"] == WEB


def test_one_end_is_enough_and_says_so() -> None:
    elsewhere = "spiffe://shop.internal/ns/books/sa/ratings"
    seen = show(Call(None, _half(IN, peer_uri=elsewhere)), NAMES)
    assert (seen.caller, seen.callee, seen.ends) == ("books/ratings", "emoji", 1)


def test_flags_and_refusals_are_words() -> None:
    failed = _half(OUT, flags="UF,URX", status=503, tls_version=None, tls_group=None, tls_failure="SAN_matcher")
    assert line(show(Call(failed, None), NAMES)).endswith(
        "503 3 ms  no TLS  [connection failed; retries used up; not this identity]"
    )
    plain = Half("emoji", {"event": "inbound", "peer": "10.0.0.9:4", "start": "2026-01-01T10:00:00.1Z", "flags": "-",
                           "tls_version": "TLSv1.2", "tls_group": None, "tls_failure": "OPENSSL_internal:HTTP_REQUEST",
                           "local_uri": EMOJI})  # fmt: skip
    assert (
        line(show(Call(None, plain), NAMES))
        == "10:00:00.1Z  10.0.0.9 → emoji  handshake  refused  no TLS  [plaintext came]"
    )


def test_a_request_in_plaintext_says_so() -> None:
    plain = _half(IN, peer="10.0.0.9:4", peer_uri=None, tls_version=None, tls_group=None, plaintext="yes")
    assert line(show(Call(None, plain), NAMES)).endswith("10.0.0.9 → emoji  GET /find  200 2 ms  no TLS  [plaintext]")


def test_what_others_wrote_moves_no_cursor() -> None:
    text = line(show(Call(_half(OUT, path="/\x1b[2J\n/x"), None), NAMES))
    assert text.isprintable()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Filter(), True), (Filter("web"), True), (Filter("emoji"), True), (Filter("voting"), False),
        (Filter(source="web"), True), (Filter(source="emoji"), False), (Filter(target=EMOJI), True),
        (Filter(status="2xx"), True), (Filter(status="200"), True), (Filter(status="5xx"), False),
        (Filter("web", "web", "emoji", "200"), True),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_shows_what_it_names(wanted: Filter, shown: bool) -> None:
    assert wanted.shows(show(Call(OUT, IN), NAMES)) is shown


@pytest.mark.parametrize("status", ["5", "6xx", "abc", "2000", "xx"])
def test_what_is_no_status_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="5xx"):
        Filter(status=status)


def test_a_tail_tells_whole_lines_once_also_when_the_file_is_begun_anew(tmp_path) -> None:
    path = tmp_path / "access.log"
    path.write_text('{"old": 1}\n')
    tail = LogTail(path)
    assert list(tail.records()) == []
    with path.open("a") as file:
        file.write('{"n": 1}\nnot json\n[1]\n{"n"')
        file.flush()
        assert list(tail.records()) == [{"n": 1}]
        file.write(": 2}\n")
    assert list(tail.records()) == [{"n": 2}]
    path.rename(tmp_path / "access.log.1")
    with (tmp_path / "access.log.1").open("a") as file:
        file.write('{"n": 3}\n')
    path.write_text('{"n": 4}\n')
    assert [each["n"] for _ in range(3) for each in tail.records()] == [3, 4]
    tail.close()


def test_a_tail_of_a_file_that_is_not_there_yet(tmp_path) -> None:
    tail = LogTail(tmp_path / "access.log")
    assert list(tail.records()) == []
    (tmp_path / "access.log").write_text('{"n": 1}\n')
    assert list(tail.records()) == [{"n": 1}]
    tail.close()


def test_a_line_without_end_is_not_kept(tmp_path) -> None:
    path = tmp_path / "access.log"
    tail = LogTail(path)
    path.write_text("x" * 200_000)
    assert list(tail.records()) == []
    with path.open("a") as file:
        file.write('\n{"n": 1}\n')
    assert list(tail.records()) == [{"n": 1}]
    tail.close()
