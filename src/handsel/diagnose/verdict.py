"""The verdict on one call: what it is right now, or why it fails. Pure: evidence in, verdict out.

The logs speak first, since they say what happened to the very request that was sent. What they leave open (under TLS
1.3 a client that is refused sees only that the connection ends) a handshake of our own with the other side answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from handsel.diagnose import catalogue, evidence
from handsel.diagnose.catalogue import Entry, Found, Side
from handsel.diagnose.evidence import Line, TlsSeen
from handsel.diagnose.proof import Attempt, Outcome
from handsel.errors import Fault
from handsel.model.graph import External, ExternalTls
from handsel.pki.certificate import Certificate


class State(StrEnum):
    """What a call is right now."""

    MUTUAL_TLS = "mutual TLS"
    ONE_WAY_TLS = "one-way TLS"
    PLAINTEXT = "plaintext"
    NO_TRAFFIC = "no traffic seen yet"
    FAILED = "failed"


@dataclass(frozen=True)
class Call:
    """A call as the mesh file and the agent on the caller's host know it.

    `allowed_by` is the line that allows it, empty when none does; `declared_at` is where the caller is declared.
    `address` is where the callee's TLS is and `program` where its program is, as far as known here. `not_ready` says
    why the caller's sidecar has no way to the callee yet. `callee_here`: it runs on this host, so its side is seen too.
    `caller_ends` and `callee_ends` say when the certificates of the two services end.
    """

    caller: str
    callee: str
    external: External | None = None
    allowed_by: str = ""
    declared_at: str = ""
    caller_identity: str = ""
    callee_identity: str = ""
    address: str = ""
    program: str = ""
    not_ready: str = ""
    callee_here: bool = True
    caller_ends: datetime | None = None
    callee_ends: datetime | None = None

    @property
    def tls(self) -> ExternalTls:
        """The TLS that the mesh file asks for; between services it is always mutual."""
        return self.external.tls if self.external else ExternalTls.MUTUAL


@dataclass(frozen=True)
class Handshake:
    """A handshake of our own with the other side.

    `error` is the text of what ended it, `version` empty when it did not come about, `leaf` what the other side showed.
    `status` is the answer to a GET inside, 0 when none was sent or none came.
    """

    error: str = ""
    version: str = ""
    leaf: Certificate | None = None
    status: int = 0

    @property
    def speaks_tls(self) -> bool:
        """Whether the other side speaks TLS at all: it finished the handshake, or ended it with an alert."""
        return bool(self.version) or "_ALERT_" in self.error


@dataclass(frozen=True)
class Seen:
    """What was seen of a call.

    `last` is when the log had it last, before anything was sent; `asked` what was sent just now (empty: nothing);
    `accepted` whether the caller's sidecar took the connection. `outbound` and `inbound` are the lines of that one
    connection at both ends. `attempt` is the caller's certificate at the callee's mesh port. The handshakes are with an
    external: showing what the sidecar shows, nothing, and a certificate that nobody trusts.
    """

    last: str = ""
    asked: str = ""
    accepted: bool = True
    answered: bool = False
    outbound: tuple[Line, ...] = ()
    inbound: tuple[Line, ...] = ()
    attempt: Attempt | None = None
    handshake: Handshake | None = None
    without_certificate: Handshake | None = None
    with_foreign_certificate: Handshake | None = None
    own_certificate: Certificate | None = None


@dataclass(frozen=True)
class Quote:
    """A line of evidence and where it is from."""

    source: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What a call is, and if it fails why: `entry` of the catalogue, `what` in a sentence of this very call.

    `check` is a command that shows more, `fix` says what to do.
    """

    state: State
    what: str = ""
    entry: Entry | None = None
    fault: Fault | None = None
    tls: TlsSeen | None = None
    quotes: tuple[Quote, ...] = field(default=())
    check: str = ""
    fix: str = ""


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
    if not seen.answered or outbound is None:
        return None
    if not call.callee_here:
        tls: TlsSeen | None = evidence.join(outbound, {**_mirrored(outbound)})
    else:
        tls = evidence.join(outbound, inbound) if inbound else None
    if (
        tls is None
        or tls.version != "TLSv1.3"
        or (tls.caller, tls.callee) != (call.caller_identity, call.callee_identity)
    ):
        return None
    what = "" if call.callee_here else f"{call.callee} runs on another host: its log is not read, only {call.caller}'s"
    return Verdict(State.MUTUAL_TLS, what, tls=tls, quotes=_log_quotes(call, outbound, inbound))


def _external_up(call: Call, seen: Seen) -> Verdict | None:
    """The other side answered, with the TLS that the mesh file asks for; mutual only if it insists on a certificate."""
    line = next((line for line in seen.outbound if answered_upstream(line)), None)
    speaks_tls = seen.handshake is not None and seen.handshake.speaks_tls
    if not seen.answered or line is None or (call.tls is ExternalTls.DISABLE and speaks_tls):
        return None
    quotes = _log_quotes(call, line, None)
    if call.tls is ExternalTls.DISABLE:
        return Verdict(State.PLAINTEXT, "the mesh file says tls: {mode: disable}", quotes=quotes)
    if not line.get("tls_version"):
        return None
    shown = call.external.client_certificate if call.external else ""
    tls = TlsSeen(str(line["tls_version"]), str(line["tls_group"]), shown, str(line.get("peer_dns") or ""))
    if call.tls is ExternalTls.SIMPLE:
        what = "the mesh file says tls: {mode: simple}, so no client certificate is shown"
        return Verdict(State.ONE_WAY_TLS, what, tls=tls, quotes=quotes)
    refusal = _refusal(seen.without_certificate, line)
    if not refusal:
        what = f"{call.callee} answers a client without a certificate as well, so ours proves nothing"
        return Verdict(State.ONE_WAY_TLS, what, tls=tls, quotes=quotes)
    return Verdict(State.MUTUAL_TLS, tls=tls, quotes=(*quotes, Quote("a handshake without a certificate", refusal)))


def _refusal(without: Handshake | None, line: Line) -> str:
    """How the other side refused a client without a certificate, empty when it did not.

    Some servers (nginx) refuse it only when it asks for something, by a status.
    """
    if without is None:
        return ""
    if without.status in range(400, 500) and str(without.status) != str(line.get("status")):
        return f"answered {without.status}, and {line.get('status')} to ours"
    return without.error


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
    if seen.attempt is not None:
        alert = f" ({seen.attempt.alert})" if seen.attempt.alert else ""
        quotes.append(Quote(f"{call.caller}'s certificate at {call.address}", f"{seen.attempt.outcome}{alert}"))
    if seen.attempt is not None and seen.attempt.outcome is Outcome.LET_IN:
        what = f"the mesh file does not let {call.caller} call {call.callee}, but the running mesh does: start it anew"
        return _verdict("HS-E019", call, what, Fault.OPERATOR, quotes)
    what = f"{call.caller} may not call {call.callee}: it is not among its calls in the mesh file"
    return _verdict("HS-E007", call, what, Fault.OPERATOR, quotes)


def _not_ready(call: Call, seen: Seen, now: datetime) -> Verdict:
    quotes = [Quote(f"the agent, about {call.caller}", _short(call.not_ready))]
    own = seen.own_certificate
    if own is not None and own.not_after <= now:
        what = f"our client certificate for {call.callee} {_ended(own, now)}"
        return _verdict("HS-E001", call, what, Fault.OPERATOR, quotes)
    found = catalogue.find(call.not_ready)
    code = found[0].entry.code if found else "HS-E019"
    what = f"the sidecar of {call.caller} has no way to {call.callee} yet: {call.not_ready}"
    return _verdict(code, call, what, Fault.OPERATOR, quotes)


def _failed(call: Call, seen: Seen, now: datetime) -> Verdict:
    """The first of the reasons that tells; then what no line tells."""
    rules = (_ended_identity, _no_sidecar, _no_program, _tls_behind_plaintext, _told, _missing_certificate, _hinted)
    for rule in rules:
        verdict = rule(call, seen, now)
        if verdict is not None:
            return verdict
    code, how = ("HS-E012", "ended the connection without an answer") if _hung_up(seen) else ("HS-E015", _IN_TIME)
    if any(line.get("tls_version") and not _failure(line) for line in seen.inbound):
        what = f"mutual TLS stands, but the program of {call.callee} {how}"
        return _verdict(code, call, what, Fault.OPERATOR, _last_lines(call, seen))
    return _verdict(code, call, f"{call.callee} {how}", None, _last_lines(call, seen))


_IN_TIME = "gave no answer in time"


def _ended_identity(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """Certificates of our own live for an hour; they end when the agent cannot reach the server for long."""
    for name, ends in ((call.caller, call.caller_ends), (call.callee, call.callee_ends)):
        if ends is not None and ends <= now:
            what = f"the certificate of {name} ended at {_time(ends)}, and the agent got no new one"
            return _verdict("HS-E001", call, what, Fault.US, _last_lines(call, seen))
    return None


def _no_sidecar(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    if seen.accepted:
        return None
    what = f"nothing listens at {call.caller}'s port for {call.callee}: its sidecar does not run"
    return _verdict("HS-E008", call, what, Fault.US, [])


def _no_program(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    line = next((line for line in seen.inbound if "UF" in str(line.get("flags"))), None)
    if line is None:
        return None
    what = f"the sidecar of {call.callee} was reached by TLS, but its program does not listen on {call.program}"
    return _verdict("HS-E008", call, what, Fault.OPERATOR, [_quote(f"{call.callee}'s log", line)])


def _tls_behind_plaintext(call: Call, seen: Seen, _now: datetime) -> Verdict | None:
    if call.tls is not ExternalTls.DISABLE or seen.handshake is None or not seen.handshake.speaks_tls:
        return None
    shown = f"{seen.handshake.version or 'a TLS alert'}: it speaks TLS"
    quotes = [*_last_lines(call, seen), Quote(f"a handshake with {call.address}", shown)]
    what = f"{call.callee} speaks TLS at {call.address}, and the mesh file says tls: {{mode: disable}}"
    return _verdict("HS-E006", call, what, Fault.OPERATOR, quotes)


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
    entry = _entry("HS-E005")
    quote = Quote("a handshake with a certificate that nobody trusts", foreign.error)
    verdict = _explained(call, seen, now, Found(entry, entry.faces[0]), quote)
    return replace(verdict, quotes=(*_last_lines(call, seen), *verdict.quotes))


def _hinted(call: Call, seen: Seen, now: datetime) -> Verdict | None:
    """A reason that leaves several causes open, except that the connection ended: that is said last."""
    for source, reason in _reasons(call, seen):
        found = next((each for each in catalogue.find(reason) if each.entry.code not in ("HS-E012", "HS-E015")), None)
        if found is not None:
            return _explained(call, seen, now, found, Quote(source, _short(reason)))
    return None


def _explained(call: Call, seen: Seen, now: datetime, found: Found, quote: Quote) -> Verdict:
    code, by_callee = found.entry.code, quote.source.startswith(f"{call.callee}'s")
    if code == "HS-E004" and by_callee:
        # What the callee does not find in the caller's certificate is one of the names that may call it.
        code = "HS-E007"
    about_ours = by_callee if found.face.side is Side.HERE else not by_callee
    sentence = _SENTENCES.get((code, about_ours))
    what = sentence(call, seen, now) if sentence else ""
    return _verdict(code, call, what, _fault(code, call, about_ours=about_ours), [quote])


def _fault(code: str, call: Call, *, about_ours: bool) -> Fault | None:
    """Who has to act, where that depends on whose certificate or server it is; None leaves it to the catalogue."""
    if code in ("HS-E001", "HS-E013", "HS-E018"):
        if call.external is None:
            return Fault.US
        return Fault.OPERATOR if about_ours else Fault.PEER
    if code == "HS-E008":
        return Fault.PEER if call.external else Fault.US
    return None


# Sentences about this very call, by code and by whether the caller's own certificate is meant

_Sentence = Callable[[Call, Seen, datetime], str]


def _their_certificate_ended(call: Call, seen: Seen, now: datetime) -> str:
    leaf = seen.handshake.leaf if seen.handshake else None
    return (
        f"the certificate of {call.callee} {_ended(leaf, now)}" if leaf else f"the certificate of {call.callee} ended"
    )


def _our_certificate_ended(call: Call, seen: Seen, now: datetime) -> str:
    own = seen.own_certificate
    return f"{call.caller}'s certificate for {call.callee} {_ended(own, now) if own else 'ended'}"


def _their_ca_unknown(call: Call, seen: Seen, _now: datetime) -> str:
    leaf = seen.handshake.leaf if seen.handshake else None
    by = f"was signed by {leaf.issuer!r}" if leaf else "is of another CA"
    roots = (call.external.ca_certificates or "the operating system's roots") if call.external else "the mesh's roots"
    return f"the certificate of {call.callee} {by}, which is not in {roots}"


def _our_ca_unknown(call: Call, seen: Seen, _now: datetime) -> str:
    by = f" (signed by {seen.own_certificate.issuer!r})" if seen.own_certificate else ""
    return f"{call.callee} does not trust the CA of our client certificate{by}"


def _names_differ(call: Call, seen: Seen, _now: datetime) -> str:
    leaf = seen.handshake.leaf if seen.handshake else None
    names = [*leaf.dns_names, *leaf.uri_names, *leaf.ip_names] if leaf else []
    shown = f" carries {', '.join(names[:4]) or 'no name'}" if leaf else " carries another name"
    expected = ", ".join(call.external.server_names) if call.external else call.callee_identity
    return f"the certificate of {call.callee}{shown}, and {expected} is expected"


def _nothing_listens(call: Call, seen: Seen, _now: datetime) -> str:
    if call.external:
        return f"nothing listens at {call.address}, where {call.callee} should be"
    if any("UH" in str(line.get("flags")) for line in seen.outbound):
        return f"no host runs {call.callee}"
    return f"nothing listens at the mesh port of {call.callee}: its sidecar does not run"


def _no_version(call: Call, _seen: Seen, _now: datetime) -> str:
    versions = "TLS 1.2 and 1.3" if call.external else "TLS 1.3"
    return f"{call.callee} speaks none of the versions that the sidecar speaks ({versions})"


_SENTENCES: dict[tuple[str, bool], _Sentence] = {
    ("HS-E001", False): _their_certificate_ended,
    ("HS-E001", True): _our_certificate_ended,
    ("HS-E002", False): _their_ca_unknown,
    ("HS-E002", True): _our_ca_unknown,
    ("HS-E003", False): lambda call, _seen, _now: (
        f"{call.callee} answers in plain text at {call.address}, and the mesh file says tls: {{mode: {call.tls}}}"
    ),
    ("HS-E004", False): _names_differ,
    ("HS-E005", True): lambda call, _seen, _now: (
        f"{call.callee} demands a client certificate, and the mesh file says tls: {{mode: {call.tls}}}"
    ),
    ("HS-E007", True): lambda call, _seen, _now: (
        f"the running sidecar of {call.callee} does not let {call.caller} in, though the mesh file does"
    ),
    ("HS-E008", False): _nothing_listens,
    ("HS-E009", True): lambda call, _seen, _now: (
        f"{call.callee} has no TLS version in common with the sidecar (1.2, 1.3)"
    ),
}

# The next step where the mesh file can say it: what to change for an external
_FIXES = {
    "HS-E001": "Whoever runs {callee} has to renew its certificate.",
    "HS-E002": "Give external {callee} ({at}) the right roots: tls: {{ca_certificates: FILE}}",
    "HS-E003": "If it should be plain text, say so at external {callee} ({at}): tls: {{mode: disable}}",
    "HS-E004": "If it is the right server, give external {callee} ({at}) its name: tls: {{server_name: NAME}}",
    "HS-E005": "Give external {callee} ({at}) tls: {{mode: mutual, client_certificate: FILE, private_key: FILE}}",
    "HS-E006": "Let the sidecar speak TLS to external {callee} ({at}): tls: {{mode: simple}} or mutual",
    "HS-E008": "Start the server of {callee}, or correct host, port or endpoints of the external ({at}).",
    "HS-E016": "Correct host of external {callee} ({at}), or give its address: endpoints: [IP:PORT]",
}


def _verdict(code: str, call: Call, what: str, fault: Fault | None, quotes: list[Quote]) -> Verdict:
    entry = _entry(code)
    return Verdict(
        State.FAILED, what or entry.cause, entry, fault or entry.fault,
        quotes=tuple(quotes), check=_check(entry, call), fix=_fix(entry, call),
    )  # fmt: skip


def _check(entry: Entry, call: Call) -> str:
    """The command that shows more; none where it would be the one that led here."""
    check = _filled(entry.check, entry, call)
    return "" if check == f"handsel explain {call.caller} {call.callee}" else check


def _fix(entry: Entry, call: Call) -> str:
    if call.external is not None and entry.code in _FIXES:
        return _FIXES[entry.code].format(callee=call.callee, at=call.external.origin)
    if entry.code == "HS-E007":
        return f"If it should be allowed, add {call.callee} to the calls of {call.caller} ({call.declared_at})."
    return _filled(entry.fix, entry, call)


def _filled(text: str, entry: Entry, call: Call) -> str:
    name = call.callee
    if call.external is not None:
        # What is not found is the name in DNS; what a certificate is asked for is the name in SNI.
        name = call.external.host if entry.code == "HS-E016" else call.external.server_name
    address = call.address or "HOST:PORT"
    return catalogue.filled(text, caller=call.caller, callee=call.callee, address=address, name=name)


def _entry(code: str) -> Entry:
    entry = catalogue.entry_of(code)
    assert entry is not None  # noqa: S101  # every code here is in the catalogue, as the tests check
    return entry


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
    """Whether it was the other side that ended the connection."""
    last = seen.outbound[-1] if seen.outbound else {}
    return bool(last) and "DC" not in str(last.get("flags")).split(",")


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


def _ended(certificate: Certificate, now: datetime) -> str:
    days = (now - certificate.not_after).days
    return f"ended at {_time(certificate.not_after)}" + (f", {days} days ago" if days > 1 else "")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
