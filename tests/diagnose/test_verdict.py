"""What the evidence means: each rule alone, with lines as Envoy 1.40 wrote them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handsel.diagnose.call import Call, Handshake, Seen, State, Verdict
from handsel.diagnose.proof import Attempt, Outcome
from handsel.diagnose.verdict import judge
from handsel.errors import Fault
from handsel.model.graph import External, ExternalTls, Protocol
from handsel.model.origin import Origin

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
WEB, EMOJI = "spiffe://t.internal/ns/default/sa/web", "spiffe://t.internal/ns/default/sa/emoji"
TLS = {"tls_version": "TLSv1.3", "tls_group": "X25519MLKEM768"}
CALL = Call(
    caller="web",
    callee="emoji",
    allowed_by="handsel.yaml:5",
    declared_at="handsel.yaml:3",
    caller_identity=WEB,
    callee_identity=EMOJI,
    address="127.0.0.1:2000",
    program="127.0.0.1:3000",
    caller_ends=NOW + timedelta(hours=1),
    callee_ends=NOW + timedelta(hours=1),
)
OUT = {
    "event": "outbound", "type": "TcpUpstreamConnected", "callee": "emoji", "client": "127.0.0.1:1", "flags": "-",
    "upstream_local": "127.0.0.1:9", "peer_uri": EMOJI, "local_uri": WEB, "tls_failure": None, **TLS,
}  # fmt: skip
IN = {
    "event": "inbound_connected", "type": "TcpUpstreamConnected", "peer": "127.0.0.1:9", "peer_uri": WEB,
    "local_uri": EMOJI, "flags": "-", "tls_failure": None, **TLS,
}  # fmt: skip
UP = Seen(asked="GET /", answered=True, outbound=(OUT,), inbound=(IN,))


def external(tls: ExternalTls, **changes: Any) -> Call:
    bank = External(
        name="bank", host="bank.example", port=443, plain_port=80, protocol=Protocol.HTTP, endpoints=(), tls=tls,
        client_certificate="/c/cert.pem", private_key="/c/key.pem", ca_certificates="/c/ca.pem",
        server_name="bank.example", server_names=("bank.example",), origin=Origin("handsel.yaml", 9),
    )  # fmt: skip
    return replace(CALL, callee="bank", callee_identity="", external=bank, callee_ends=None, **changes)


def request(**changes: Any) -> dict[str, Any]:
    line = {
        "event": "outbound_request", "type": "DownstreamEnd", "callee": "bank", "client": "127.0.0.1:1",
        "details": "via_upstream", "status": 200, "flags": "-", "peer_dns": "bank.example", **TLS,
    }  # fmt: skip
    return {**line, **changes}


def refused(text: str) -> dict[str, Any]:
    return request(status=503, flags="UF", details=f"upstream_reset{{{text}}}", tls_failure=text, tls_version=None)


def code_of(verdict: Verdict) -> str:
    assert verdict.state is State.FAILED
    assert verdict.entry
    return verdict.entry.code


# What works


def test_a_call_is_mutual_tls_when_both_ends_saw_the_same() -> None:
    verdict = judge(CALL, UP, NOW)
    assert verdict.state is State.MUTUAL_TLS
    assert verdict.tls
    assert (verdict.tls.caller, verdict.tls.callee) == (WEB, EMOJI)


@pytest.mark.parametrize(
    "changed",
    [
        {"peer_uri": "spiffe://t.internal/ns/default/sa/other"},
        {"tls_version": "TLSv1.2"},
        {"tls_group": "X25519"},
        {"type": "TcpConnectionEnd"},
    ],
)
def test_ends_that_contradict_each_other_are_no_mutual_tls(changed: dict[str, str]) -> None:
    verdict = judge(CALL, replace(UP, inbound=({**IN, **changed},)), NOW)
    assert (code_of(verdict), verdict.fault) == ("HS-E004", Fault.US)
    assert "do not agree" in verdict.what


def test_tls12_between_two_services_is_no_success_even_if_both_saw_it() -> None:
    seen = replace(UP, outbound=({**OUT, "tls_version": "TLSv1.2"},), inbound=({**IN, "tls_version": "TLSv1.2"},))
    assert judge(CALL, seen, NOW).state is State.FAILED


def test_no_answer_is_no_success_although_the_logs_are_fine() -> None:
    assert judge(CALL, replace(UP, answered=False), NOW).state is State.FAILED


@pytest.mark.parametrize(("here", "told"), [(False, "is on another host"), (True, "has no such line")])
def test_where_only_the_caller_logged_it_that_is_said(here: bool, told: str) -> None:
    verdict = judge(replace(CALL, callee_here=here), replace(UP, inbound=()), NOW)
    assert verdict.state is State.MUTUAL_TLS
    assert told in verdict.what


def test_without_traffic_and_request_nothing_is_claimed() -> None:
    assert judge(CALL, Seen(), NOW).state is State.NO_TRAFFIC


def test_the_outside_is_mutual_only_if_it_refuses_a_client_without_a_certificate() -> None:
    call, seen = external(ExternalTls.MUTUAL), Seen(asked="GET /", answered=True, outbound=(request(),))
    alert = Handshake(error="[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]", version="TLSv1.3")
    silent = Handshake(error="timed out", version="TLSv1.3")
    away = Handshake(error="[Errno 111] Connection refused")
    states = {
        "silent": judge(call, replace(seen, without_certificate=silent), NOW).state,
        "away": judge(call, replace(seen, without_certificate=away), NOW).state,
        "refused": judge(call, replace(seen, without_certificate=alert), NOW).state,
        "refused by status": judge(call, replace(seen, without_certificate=Handshake(status=400)), NOW).state,
        "let in": judge(call, replace(seen, without_certificate=Handshake(version="TLSv1.3", status=200)), NOW).state,
        "not asked": judge(call, seen, NOW).state,
    }
    assert states == {
        "refused": State.MUTUAL_TLS, "refused by status": State.MUTUAL_TLS,
        "let in": State.ONE_WAY_TLS, "not asked": State.ONE_WAY_TLS, "silent": State.ONE_WAY_TLS, "away": State.ONE_WAY_TLS,
    }  # fmt: skip


def test_a_page_that_refuses_everybody_proves_nothing() -> None:
    seen = Seen(
        asked="GET /", answered=True, outbound=(request(status=403),), without_certificate=Handshake(status=403)
    )
    assert judge(external(ExternalTls.MUTUAL), seen, NOW).state is State.ONE_WAY_TLS


def test_simple_and_disable_are_called_what_they_are() -> None:
    seen = Seen(asked="GET /", answered=True, outbound=(request(),))
    assert judge(external(ExternalTls.SIMPLE), seen, NOW).state is State.ONE_WAY_TLS
    plain = replace(seen, outbound=(request(tls_version=None),))
    assert judge(external(ExternalTls.DISABLE), plain, NOW).state is State.PLAINTEXT


def test_an_answer_of_the_sidecar_itself_is_none() -> None:
    seen = Seen(asked="GET /", answered=True, outbound=(request(details="upstream_reset{x}", status=503),))
    assert judge(external(ExternalTls.SIMPLE), seen, NOW).state is State.FAILED


# What does not


def test_what_is_not_in_calls_is_denied_and_the_probe_is_quoted() -> None:
    denied = replace(CALL, allowed_by="")
    seen = Seen(attempt=Attempt(Outcome.ALERT, "certificate_unknown"))
    verdict = judge(denied, seen, NOW)
    assert code_of(verdict) == "HS-E007"
    assert "handsel.yaml:3" in verdict.fix
    assert any("certificate_unknown" in quote.text for quote in verdict.quotes)


def test_a_call_that_is_not_declared_and_gets_in_is_told_loudly() -> None:
    verdict = judge(replace(CALL, allowed_by=""), Seen(attempt=Attempt(Outcome.LET_IN)), NOW)
    assert code_of(verdict) == "HS-E019"
    assert "the running mesh does" in verdict.what


REASONS = [
    (":_certificate_has_expired:", "HS-E001", Fault.PEER),
    (":_unable_to_get_local_issuer_certificate:", "HS-E002", Fault.OPERATOR),
    (":WRONG_VERSION_NUMBER:", "HS-E003", Fault.OPERATOR),
    (":_SAN_matcher,_certificate_SANs_are_[else]:", "HS-E004", Fault.OPERATOR),
    ("delayed_connect_error:_Connection_refused", "HS-E008", Fault.PEER),
    (":TLSV1_ALERT_PROTOCOL_VERSION:", "HS-E009", Fault.PEER),
    (":_certificate_is_not_yet_valid:", "HS-E013", Fault.PEER),
    (":SSLV3_ALERT_CERTIFICATE_EXPIRED:", "HS-E001", Fault.OPERATOR),
    (":TLSV1_ALERT_UNKNOWN_CA:", "HS-E002", Fault.OPERATOR),
]


@pytest.mark.parametrize(("text", "code", "fault"), REASONS, ids=[f"{code}-{text}" for text, code, _ in REASONS])
def test_what_the_caller_logs_of_the_outside_names_the_cause(text: str, code: str, fault: Fault) -> None:
    verdict = judge(external(ExternalTls.MUTUAL), Seen(asked="GET /", outbound=(refused(text),)), NOW)
    assert (code_of(verdict), verdict.fault) == (code, fault)
    assert "bank" in verdict.what


def test_where_the_log_is_silent_the_handshake_speaks() -> None:
    silent = request(status=503, flags="UC", details="upstream_reset_before_response_started{connection_termination}")
    seen = Seen(
        asked="GET /",
        answered=True,
        outbound=(silent,),
        handshake=Handshake("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"),
    )
    assert code_of(judge(external(ExternalTls.SIMPLE), seen, NOW)) == "HS-E005"
    assert code_of(judge(external(ExternalTls.SIMPLE), replace(seen, handshake=None), NOW)) == "HS-E012"


def test_handshake_failure_is_a_missing_certificate_only_if_a_foreign_one_is_spoken_of() -> None:
    seen = Seen(asked="GET /", outbound=(refused(":SSLV3_ALERT_HANDSHAKE_FAILURE:"),))
    call = external(ExternalTls.SIMPLE)
    assert code_of(judge(call, seen, NOW)) == "HS-E011"
    again = replace(seen, with_foreign_certificate=Handshake("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE]"))
    assert code_of(judge(call, again, NOW)) == "HS-E011"
    spoken = replace(seen, with_foreign_certificate=Handshake("[SSL: TLSV1_ALERT_UNKNOWN_CA]"))
    assert code_of(judge(call, spoken, NOW)) == "HS-E005"


def test_plain_text_to_a_port_that_speaks_tls() -> None:
    call, line = external(ExternalTls.DISABLE), request(tls_version=None, status=400)
    seen = Seen(asked="GET /", answered=True, outbound=(line,))
    for handshake in (Handshake(version="TLSv1.3"), Handshake("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")):
        assert code_of(judge(call, replace(seen, handshake=handshake), NOW)) == "HS-E006"
    plain = replace(seen, handshake=Handshake("[SSL: WRONG_VERSION_NUMBER]"))
    assert judge(call, plain, NOW).state is State.PLAINTEXT


@pytest.mark.parametrize(
    ("failure", "code", "fault"),
    [
        (":_certificate_has_expired:", "HS-E001", Fault.US),
        (":_SAN_matcher,_certificate_SANs_are_[x]:", "HS-E007", Fault.OPERATOR),
        (":PEER_DID_NOT_RETURN_A_CERTIFICATE:", "HS-E005", Fault.OPERATOR),
    ],
)
def test_what_the_callee_logs_is_about_the_caller(failure: str, code: str, fault: Fault) -> None:
    """Under TLS 1.3 the caller believes that the connection stands; only the callee knows better."""
    line = {**IN, "event": "inbound", "type": "NotSet", "tls_failure": failure}
    verdict = judge(CALL, Seen(asked="GET /", outbound=(OUT,), inbound=(line,)), NOW)
    assert (code_of(verdict), verdict.fault) == (code, fault)
    assert verdict.quotes[0].source == "emoji's log"


def test_a_program_that_does_not_listen_and_a_sidecar_that_does_not_run() -> None:
    away = {**IN, "type": "TcpConnectionEnd", "flags": "UF,URX"}
    program = judge(CALL, Seen(asked="GET /", outbound=(OUT,), inbound=(away,)), NOW)
    assert (code_of(program), program.fault) == ("HS-E008", Fault.OPERATOR)
    assert "127.0.0.1:3000" in program.what
    sidecar = judge(CALL, Seen(asked="GET /", accepted=False), NOW)
    assert (code_of(sidecar), sidecar.fault) == ("HS-E008", Fault.US)
    assert "web's port" in sidecar.what
    theirs = {**OUT, "tls_version": None, "flags": "UF", "tls_failure": "delayed_connect_error:_Connection_refused"}
    verdict = judge(CALL, Seen(asked="GET /", outbound=(theirs,)), NOW)
    assert (code_of(verdict), verdict.fault) == ("HS-E008", Fault.US)
    assert "mesh port of emoji" in verdict.what
    nobody = judge(CALL, Seen(asked="GET /", outbound=({**OUT, "tls_version": None, "flags": "UH"},)), NOW)
    assert nobody.what == "no host runs emoji"


def test_a_reset_by_the_peer_is_the_end_of_every_connection_and_no_reason() -> None:
    end = {**IN, "tls_failure": "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer"}
    seen = Seen(asked="GET /", outbound=({**OUT, "flags": "-"},), inbound=(IN, end))
    assert code_of(judge(CALL, seen, NOW)) == "HS-E012"
    assert judge(CALL, replace(seen, answered=True), NOW).state is State.MUTUAL_TLS


def test_a_certificate_of_our_own_that_ended_is_our_fault() -> None:
    verdict = judge(replace(CALL, callee_ends=NOW), Seen(asked="GET /", outbound=(refused("x"),)), NOW)
    assert (code_of(verdict), verdict.fault) == ("HS-E001", Fault.US)
    assert "the certificate of emoji ended" in verdict.what


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("it waits for a file: /c/ca.pem is not there", "HS-E019"),
        ("it waits for a file: /c/cert.pem, /c/key.pem: the private key does not belong to the certificate", "HS-E017"),
    ],
)
def test_a_sidecar_that_has_no_way_says_why(problem: str, code: str) -> None:
    verdict = judge(external(ExternalTls.MUTUAL, not_ready=problem), Seen(), NOW)
    assert (code_of(verdict), verdict.fault) == (code, Fault.OPERATOR)
    assert problem in verdict.what


def test_whoever_ended_it_is_told_from_whoever_waited() -> None:
    seen = Seen(asked="GET /", outbound=(OUT,), inbound=(IN,))
    assert code_of(judge(CALL, seen, NOW)) == "HS-E012"
    waited = judge(CALL, replace(seen, gave_up=True), NOW)
    assert (code_of(waited), waited.fault) == ("HS-E015", Fault.OPERATOR)


def test_a_long_line_is_quoted_short() -> None:
    verdict = judge(
        external(ExternalTls.SIMPLE), Seen(asked="x", outbound=(refused(":WRONG_VERSION_NUMBER:" * 99),)), NOW
    )
    assert all(len(quote.text) <= 200 for quote in verdict.quotes)
