"""The verdict on one call: what it is right now, or why it fails. Pure: evidence in, verdict out.

The logs speak first, since they say what happened to the very request that was sent. What they leave open (under TLS
1.3 a client that is refused sees only that the connection ends) a handshake of our own with the other side answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from handsel.diagnose import advice, catalogue, evidence
from handsel.diagnose.call import Call, Handshake, Quote, Seen, State, Verdict
from handsel.diagnose.catalogue import Found, Side
from handsel.diagnose.evidence import Line, TlsSeen
from handsel.diagnose.proof import Outcome
from handsel.errors import Fault
from handsel.model.graph import ExternalTls


def judge(call: Call, seen: Seen, now: datetime) -> Verdict:
    """What the evidence says about a call at `now`."""
    if not call.allowed_by:
        return _not_allowed(call, seen)
    if call.not_ready:
        return _not_ready(call, seen, now)
    if not seen.asked and not seen.outbound:
        return Verdict(State.NO_TRAFFIC, f"{call.caller} has not called {call.callee} yet, and nothing was sent now")
    up = _external_up(call, seen) if call.external else _service_up(call, seen)
    return up or _failed(call, seen, now)


# What works


def _service_up(call: Call, seen: Seen) -> Verdict | None:
    """Both proxies saw the same TLS 1.3 between the right two identities, and the program behind was reached."""
    outbound = next((line for line in seen.outbound if line.get("tls_version")), None)
    inbound = next((line for line in seen.inbound if _reached(line)), None)
    if not seen.answered or outbound is None or (seen.inbound and inbound is None):
        return None
    tls = evidence.join(outbound, inbound or _mirrored(outbound))
    if tls is None or tls.version != "TLSv1.3":
        return None
    if (tls.caller, tls.callee) != (call.caller_identity, call.callee_identity):
        return None
    what = "" if inbound else f"only {call.caller}'s log has it: that of {call.callee} {_missing_log(call)}"
    return Verdict(State.MUTUAL_TLS, what, tls=tls, quotes=_log_quotes(call, outbound, inbound))


def _missing_log(call: Call) -> str:
    return "has no such line" if call.callee_here else "is on another host"


def _external_up(call: Call, seen: Seen) -> Verdict | None:
    """The other side answered, with the TLS that the mesh file asks for."""
    line = next((line for line in seen.outbound if answered_upstream(line)), None)
    speaks_tls = seen.handshake is not None and seen.handshake.speaks_tls
    if not seen.answered or line is None or (call.tls is ExternalTls.DISABLE and speaks_tls):
        return None
    if call.tls is ExternalTls.DISABLE:
        what = "the mesh file says tls: {mode: disable}"
        return Verdict(State.PLAINTEXT, what, quotes=_log_quotes(call, line, None))
    return _external_tls_up(call, seen, line) if line.get("tls_version") else None


def _external_tls_up(call: Call, seen: Seen, line: Line) -> Verdict:
    """TLS to the outside is mutual only if the other side insists on a certificate, which no log of ours can show."""
    own, without = seen.own_certificate, seen.without_certificate
    shown = f"{own.subject} ({call.external.client_certificate})" if own and call.external else ""
    tls = TlsSeen(str(line["tls_version"]), str(line.get("tls_group")), shown, str(line.get("peer_dns") or ""))
    quotes = _log_quotes(call, line, None)
    refusal = _refusal(without, line) if without else ""
    if refusal:
        quotes = (*quotes, Quote("a handshake without a certificate", refusal))
        return Verdict(State.MUTUAL_TLS, tls=tls, quotes=quotes)
    what = f"{call.callee} answers a client without a certificate as well, so ours proves nothing"
    if call.tls is ExternalTls.SIMPLE:
        what = "the mesh file says tls: {mode: simple}, so no client certificate is shown"
    elif without is None:
        what = f"whether {call.callee} insists on a certificate is in no log: ask without --no-request"
    elif without.error:
        what = f"whether {call.callee} insists on a certificate stays open: without one came {without.error}"
    return Verdict(State.ONE_WAY_TLS, what, tls=tls, quotes=quotes)


def _refusal(without: Handshake, line: Line) -> str:
    """How the other side refused a client without a certificate, empty when it did not.

    Some servers (nginx) refuse it only when it asks for something, by a status.
    """
    if without.status in range(400, 500) and str(without.status) != str(line.get("status")):
        return f"answered {without.status}, and {line.get('status')} to ours"
    return without.error if without.refused else ""


def _reached(line: Line) -> bool:
    """Whether a callee's line says that its program was reached."""
    if line.get("event") == "inbound_connected":
        return line.get("type") == "TcpUpstreamConnected"
    return line.get("event") == "inbound_request" and line.get("details") == "via_upstream"


def answered_upstream(line: Line) -> bool:
    """Whether a caller's line says that the other side was reached."""
    if line.get("event") == "outbound":
        return line.get("type") == "TcpUpstreamConnected"
    return line.get("details") == "via_upstream"


def _mirrored(outbound: Line) -> Line:
    """What the callee would have logged of a connection that its caller saw in this way."""
    return {**outbound, "peer_uri": outbound.get("local_uri"), "local_uri": outbound.get("peer_uri")}


# What does not


def _not_allowed(call: Call, seen: Seen) -> Verdict:
    quotes = [
        Quote(call.declared_at, f"{call.callee} is not among the calls of {call.caller}"),
        *_last_lines(call, seen),
    ]
    attempt = seen.attempt
    if attempt is not None:
        answer = f"{attempt.outcome} ({attempt.alert})" if attempt.alert else str(attempt.outcome)
        quotes.append(Quote(f"{call.caller}'s certificate at {call.address}", answer))
    if attempt is not None and attempt.outcome is Outcome.LET_IN:
        what = f"the mesh file does not let {call.caller} call {call.callee}, but the running mesh does: start it anew"
        return _verdict("HS-E019", call, what, quotes, fault=Fault.OPERATOR)
    what = f"{call.caller} may not call {call.callee}: it is not among its calls in the mesh file"
    return _verdict("HS-E007", call, what, quotes)


def _not_ready(call: Call, seen: Seen, now: datetime) -> Verdict:
    quotes = [Quote(f"the agent, about {call.caller}", _short(call.not_ready))]
    own = seen.own_certificate
    if own is not None and own.not_after <= now:
        what = advice.what("HS-E001", call, seen, now, ours=True)
        return _verdict("HS-E001", call, what, quotes, fault=Fault.OPERATOR, ours=True)
    found = catalogue.find(call.not_ready)
    what = f"the sidecar of {call.caller} has no way to {call.callee} yet: {call.not_ready}"
    return _verdict(found[0].entry.code if found else "HS-E019", call, what, quotes, fault=Fault.OPERATOR)


def _failed(call: Call, seen: Seen, now: datetime) -> Verdict:
    """The first of the reasons that tells; then what no line tells."""
    rules = (
        _ended_identity, _no_sidecar, _no_program, _tls_behind_plaintext, _told, _missing_certificate, _hinted,
        _contradicted,
    )  # fmt: skip
    told = next((verdict for rule in rules if (verdict := rule(call, seen, now))), None)
    return told or _unanswered(call, seen)


def _ended_identity(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """Certificates of our own live for an hour; they end when the agent cannot reach the server for long."""
    for name, ends in ((call.caller, call.caller_ends), (call.callee, call.callee_ends)):
        if ends is not None and ends <= now:
            what = f"the certificate of {name} ended at {advice.time_of(ends)}, and the agent got no new one"
            return _verdict("HS-E001", call, what, _last_lines(call, seen), fault=Fault.US)
    return None


def _no_sidecar(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    if seen.accepted:
        return None
    what = f"nothing listens at {call.caller}'s port for {call.callee}: its sidecar does not run"
    return _verdict("HS-E008", call, what, [], fault=Fault.US)


def _no_program(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    line = next((line for line in seen.inbound if "UF" in str(line.get("flags"))), None)
    if line is None:
        return None
    what = f"the sidecar of {call.callee} was reached by TLS, but its program does not listen on {call.program}"
    return _verdict("HS-E008", call, what, [_quote(f"{call.callee}'s log", line)], fault=Fault.OPERATOR)


def _tls_behind_plaintext(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    if call.tls is not ExternalTls.DISABLE or seen.handshake is None or not seen.handshake.speaks_tls:
        return None
    shown = f"{seen.handshake.version or 'a TLS alert'}: it speaks TLS"
    quotes = [*_last_lines(call, seen), Quote(f"a handshake with {call.address}", shown)]
    return _verdict("HS-E006", call, advice.what("HS-E006", call, seen, now, ours=False), quotes)


def _told(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """A reason that leads to one cause."""
    for source, reason in _reasons(call, seen):
        found = next((each for each in catalogue.find(reason) if not each.entry.vague), None)
        if found is not None:
            return _explained(call, seen, now, found, Quote(source, _short(reason)))
    return None


def _missing_certificate(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """Under TLS 1.2 who demands a certificate and gets none says no more than handshake_failure.

    Shown one that nobody trusts, it speaks of the certificate instead.
    """
    foreign = seen.with_foreign_certificate
    if foreign is None or not any(each.entry.code in ("HS-E002", "HS-E010") for each in catalogue.find(foreign.error)):
        return None
    quotes = [*_last_lines(call, seen), Quote("a handshake with a certificate that nobody trusts", foreign.error)]
    return _verdict("HS-E005", call, advice.what("HS-E005", call, seen, now, ours=True), quotes, ours=True)


def _hinted(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """A reason that leaves several causes open, except that the connection ended: that is said last."""
    for source, reason in _reasons(call, seen):
        found = next((each for each in catalogue.find(reason) if each.entry.code not in ("HS-E012", "HS-E015")), None)
        if found is not None:
            return _explained(call, seen, now, found, Quote(source, _short(reason)))
    return None


def _contradicted(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    """An answer came, and yet it was no mutual TLS between these two: no proxy of ours should let that happen."""
    if call.external is not None or not seen.answered or not seen.inbound:
        return None
    what = (
        f"{call.callee} answered, but the two proxies do not agree on TLS 1.3 between {call.caller} and {call.callee}"
    )
    return _verdict("HS-E004", call, what, _last_lines(call, seen), fault=Fault.US)


def _unanswered(call: Call, seen: Seen) -> Verdict:
    """Nobody said anything: the connection ended, or did not."""
    code, how = "HS-E015", "gave no answer in time"
    if _hung_up(seen):
        code, how = "HS-E012", "ended the connection without an answer"
    quotes = _last_lines(call, seen)
    if any(line.get("tls_version") and not _failure(line) for line in seen.inbound):
        what = f"mutual TLS stands, but the program of {call.callee} {how}"
        return _verdict(code, call, what, quotes, fault=Fault.OPERATOR)
    return _verdict(code, call, f"{call.callee} {how}", quotes)


def _explained(call: Call, seen: Seen, now: datetime, found: Found, quote: Quote) -> Verdict:
    """The verdict by an entry of the catalogue that a reason led to."""
    code, by_callee = found.entry.code, quote.source == f"{call.callee}'s log"
    # What a callee does not find in a caller's certificate is one of the names that may call it.
    code = "HS-E007" if code == "HS-E004" and by_callee else code
    ours = by_callee if found.face.side is Side.HERE else not by_callee
    what = advice.what(code, call, seen, now, ours=ours)
    return _verdict(code, call, what, [quote], fault=_fault(code, call, ours=ours), ours=ours)


def _fault(code: str, call: Call, *, ours: bool) -> Fault | None:
    """Who has to act, where that depends on whose certificate or server it is; None leaves it to the catalogue."""
    if code in ("HS-E001", "HS-E013", "HS-E018"):
        if call.external is None:
            return Fault.US
        return Fault.OPERATOR if ours else Fault.PEER
    if code == "HS-E008":
        return Fault.PEER if call.external else Fault.US
    return None


def _verdict(
    code: str, call: Call, what: str, quotes: Sequence[Quote], *, fault: Fault | None = None, ours: bool = False
) -> Verdict:
    entry = catalogue.BY_CODE[code]
    return Verdict(
        State.FAILED, what or entry.cause, entry, fault or entry.fault, quotes=tuple(quotes),
        check=advice.check(entry, call, ours=ours), fix=advice.fix(entry, call, ours=ours),
    )  # fmt: skip


# Evidence in words


def _reasons(call: Call, seen: Seen) -> Iterator[tuple[str, str]]:
    """Every text that may tell the reason, the most telling first, with its source."""
    ends = ((f"{call.caller}'s log", seen.outbound), (f"{call.callee}'s log", seen.inbound))
    for source, lines in ends:
        yield from ((source, failure) for line in reversed(lines) if (failure := _failure(line)))
    if seen.handshake is not None and seen.handshake.error:
        yield f"a handshake with {call.address}", seen.handshake.error
    for source, lines in ends:
        for line in reversed(lines):
            details = str(line.get("details") or "-")
            named = _FLAGS.get(str(line.get("flags")), "")
            if details not in ("-", "via_upstream") or named:
                yield source, named or details


_FLAGS = {"NC": "cluster_not_found", "UH": "no_healthy_upstream"}
"""Envoy's response flags on layer 4, where no details come with them."""


def _hung_up(seen: Seen) -> bool:
    """Whether it was the other side that ended the connection, and not ours (flag DC on layer 7)."""
    last = seen.outbound[-1] if seen.outbound else {}
    return bool(last) and not seen.gave_up and "DC" not in str(last.get("flags")).split(",")


def _last_lines(call: Call, seen: Seen) -> list[Quote]:
    quotes = [_quote(f"{call.caller}'s log", seen.outbound[-1])] if seen.outbound else []
    return quotes + ([_quote(f"{call.callee}'s log", seen.inbound[-1])] if seen.inbound else [])


def _log_quotes(call: Call, outbound: Line, inbound: Line | None) -> tuple[Quote, ...]:
    quotes = (_quote(f"{call.caller}'s log", outbound),)
    return (*quotes, _quote(f"{call.callee}'s log", inbound)) if inbound else quotes


_OF_SUCCESS = ("event", "status", "flags", "details", "tls_version", "upstream", "upstream_local", "peer")
_OF_FAILURE = ("event", "status", "flags", "tls_failure")
_LONGEST_QUOTE = 200


def _quote(source: str, line: Line) -> Quote:
    """What counts of a log line."""
    names = _OF_FAILURE if _failure(line) else _OF_SUCCESS
    shown = [f"{name}={line[name]}" for name in names if line.get(name) not in (None, "", "-")]
    return Quote(source, _short(" ".join(shown)))


def _failure(line: Line) -> str:
    """Why TLS failed on this connection; an end by the peer, which every connection has, is no reason."""
    failure = str(line.get("tls_failure") or "-")
    return "" if failure == "-" or "system_library" in failure.replace(" ", "_") else failure


def _short(text: str) -> str:
    """A text without what every TLS error of Envoy begins and ends with, cut to a line or two."""
    for noise in ("TLS_error:|", ":TLS_error_end", "SSL_routines:OPENSSL_internal:"):
        text = text.replace(noise, "")
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
