"""What came of a handshake: one word, one sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from handsel.diagnose.handshake import alerts, speech
from handsel.diagnose.handshake.model import After, End, Recording, Trust
from handsel.diagnose.handshake.reading import Facts
from handsel.pki.inspect import printable


class Result(StrEnum):
    """The word. Only `TRUSTED` is good; `UNREACHABLE` means that nothing took the connection."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    WRONG_NAME = "wrong name"
    CERTIFICATE_REQUIRED = "client certificate required"
    CERTIFICATE_REFUSED = "client certificate refused"
    REFUSED = "refused"
    NOT_TLS = "not TLS"
    SILENT = "silent"
    CLOSED = "closed"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Outcome:
    """`client`: what became of our own certificate."""

    result: Result
    sentence: str
    fix: str = ""
    client: str = ""


_SNI = "it may want another name (--server-name), take no TLS on this port, or have no server behind it"
_LOG = "its log says why"


def outcome(recording: Recording, facts: Facts, trust: Trust | None) -> Outcome:
    """What came of it. `trust` None: no certificate came."""
    if recording.end is not End.DONE:
        return _not_done(recording, facts)
    refused = _refused_after(recording, facts)
    if refused is not None:
        return refused
    client = client_in_words(recording, facts)
    if trust is None or not trust.trusted:
        result = Result.WRONG_NAME if trust and trust.wrong_name else Result.UNTRUSTED
        reason, fix = (trust.reason, trust.fix) if trust else ("no certificate came", "")
        return Outcome(result, f"the server's certificate is not to be believed: {reason}", fix, client)
    way = "two-way (mutual) TLS" if facts.shown else "one-way TLS"
    return Outcome(Result.TRUSTED, f"{way}; the server is who it says, by the root '{trust.root}'", "", client)


def client_in_words(recording: Recording, facts: Facts) -> str:
    """What became of the client's side of a handshake that was done."""
    if facts.asked is None:
        return "not asked for" if recording.whole else "not known: this Python shows no messages"
    if not facts.shown:
        return "asked for; none was shown, and the server let it be"
    if not facts.tls13:
        return "accepted: under TLS 1.2 the server's Finished comes only after it"
    if recording.after is After.DATA:
        return "accepted: the server went on to send data"
    if recording.after is After.GOODBYE:
        return "not refused: the server said goodbye in due form, without an alert"
    return f"not refused within {recording.waited:.1f} s, in which a TLS 1.3 server would have said so"


def _refused_after(recording: Recording, facts: Facts) -> Outcome | None:
    """A refusal after the client's Finished. To hang up without a word is one too when a certificate was asked for."""
    if recording.after is After.ALERT or facts.alert is not None:
        return _refusal(facts, "after the handshake, as TLS 1.3 has it") if facts.asked else _given_up(facts, recording)
    if facts.asked and facts.tls13 and recording.after in (After.CLOSED, After.RESET, After.FAILED):
        what = "shown" if facts.shown else "not shown"
        sentence = (
            f"the server hung up right after the handshake without saying why; a client certificate was asked for and "
            f"{what}, so that is the likely reason"
        )
        return _about_certificate(facts, sentence, _LOG)
    return None


def _refusal(facts: Facts, when: str) -> Outcome:
    alert = facts.alert if facts.alert is not None else -1
    said = f"{alerts.named(alert)}: {alerts.meaning(alert)}" if alert >= 0 else "without saying why"
    if facts.shown:
        return _about_certificate(
            facts, f"the server refused the client certificate {when} ({said})", alerts.fix(alert)
        )
    sentence = f"the server refused a client without a certificate {when} ({said})"
    return _about_certificate(facts, sentence, alerts.fix(116))


def _about_certificate(facts: Facts, sentence: str, fix: str) -> Outcome:
    if facts.shown:
        return Outcome(Result.CERTIFICATE_REFUSED, sentence, fix, "refused")
    return Outcome(Result.CERTIFICATE_REQUIRED, sentence, alerts.fix(116), "asked for; refused without one")


def _given_up(facts: Facts, recording: Recording) -> Outcome:
    if facts.alert is None:
        return Outcome(Result.REFUSED, f"the server gave up: {printable(recording.error)}", _LOG)
    sentence = f"the server gave up: {alerts.named(facts.alert)}: {alerts.meaning(facts.alert)}"
    return Outcome(Result.REFUSED, sentence, alerts.fix(facts.alert) or _LOG)


def _not_done(recording: Recording, facts: Facts) -> Outcome:
    if recording.connected is None:
        return _not_connected(recording)
    if recording.end is End.NOT_TLS:
        what, fix = speech.spoken(recording.first)
        return Outcome(Result.NOT_TLS, f"it does not speak TLS but {what}: {speech.shown(recording.first)}", fix)
    if recording.end is End.SILENT:
        return _silent(recording)
    hung_up = recording.end in (End.CLOSED, End.RESET)
    if facts.asked is not None and (facts.alert is not None or hung_up):
        return _refusal(facts, "within the handshake")
    if facts.alert is not None:
        return _given_up(facts, recording)
    return _closed(recording) if hung_up else _unreadable(recording)


def _not_connected(recording: Recording) -> Outcome:
    error, where = printable(recording.error), recording.address
    if recording.end is End.NO_NAME:
        return Outcome(Result.UNREACHABLE, f"the name has no address: {error}", "check how it is written, and DNS")
    if recording.end is End.REFUSED:
        fix = "start the server, or check host and port"
        return Outcome(Result.UNREACHABLE, f"nothing listens at {where}: the connection was refused", fix)
    fix = "a firewall that drops packets looks like this, and so does a wrong address"
    return Outcome(Result.UNREACHABLE, f"no connection to {where or 'it'}: {error}", fix)


def _closed(recording: Recording) -> Outcome:
    how = "closed the connection" if recording.end is End.CLOSED else "reset the connection"
    if not recording.first:
        return Outcome(Result.CLOSED, f"it took the connection, was sent a ClientHello, and {how}", _SNI)
    return Outcome(Result.CLOSED, f"the server {how} in the middle of the handshake", _LOG)


def _unreadable(recording: Recording) -> Outcome:
    if recording.end is End.TOO_MUCH:
        return Outcome(Result.FAILED, f"{printable(recording.error)}, and no handshake needs that", _LOG)
    sentence = f"what the server sent cannot be read as TLS: {printable(recording.error)}"
    return Outcome(Result.FAILED, sentence, "it may be no TLS, or something on the way changes it")


def _silent(recording: Recording) -> Outcome:
    if recording.first:
        return Outcome(Result.SILENT, f"the server stopped in the middle of the handshake: {recording.error}", _LOG)
    fix = "it hangs, waits for another protocol's first word, or something on the way swallows the hello"
    return Outcome(Result.SILENT, f"it took the connection and a ClientHello: {recording.error}", fix)
