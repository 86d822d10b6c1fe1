"""Explanations as values that print as table, JSON or YAML: of a call, of a pasted text, of a code."""

from __future__ import annotations

import inspect
import re
from typing import Any

from handsel import errors
from handsel.diagnose import catalogue
from handsel.diagnose.call import Call, Seen, State, Verdict
from handsel.diagnose.catalogue import Entry, Found
from handsel.errors import HandselError

MAXIMUM_TEXT = 64 << 10
"""Bytes of a pasted text: far more than an error with its stack trace has."""

_CODE = re.compile(r"HS-[A-Z]\d{3}", re.IGNORECASE)


def edge(call: Call, seen: Seen, verdict: Verdict) -> dict[str, Any]:
    """The explanation of a call (`kind: EdgeExplanation`). `ok` only if it is mutual TLS and was answered."""
    tls, entry = verdict.tls, verdict.entry
    return {
        **_head("EdgeExplanation"),
        "from": call.caller,
        "to": call.callee,
        "external": call.external is not None,
        "ok": verdict.state is State.MUTUAL_TLS,
        "state": str(verdict.state),
        "what": verdict.what,
        "code": entry.code if entry else None,
        "name": entry.name if entry else None,
        "fault": str(verdict.fault) if verdict.fault else None,
        "tls": {"version": tls.version, "group": tls.group, "caller": tls.caller, "callee": tls.callee}
        if tls
        else None,
        "allowed_by": call.allowed_by or None,
        "traffic": {"last": seen.last or None, "asked": _asked(seen) or None},
        "evidence": [{"source": quote.source, "text": quote.text} for quote in verdict.quotes],
        "check": verdict.check or None,
        "fix": verdict.fix or None,
    }


def text(pasted: str) -> dict[str, Any]:
    """The explanation of a TLS error (`kind: TextExplanation`). `ok` if it leads to an entry."""
    found = catalogue.find(pasted)
    explained = _found(found[0]) if found else {}
    return {
        **_head("TextExplanation"),
        "ok": bool(found),
        "runtime": catalogue.runtime_of(pasted) or None,
        **explained,
        "others": [f"{each.entry.code} {each.entry.name}" for each in found[1:]],
        "understood": understood(pasted),
    }


def code(wanted: str) -> dict[str, Any] | None:
    """The explanation of a code of the catalogue or of `handsel.errors` (`kind: CodeExplanation`), None without one."""
    entry = catalogue.BY_CODE.get(wanted.upper())
    if entry is not None:
        return {**_head("CodeExplanation"), **_entry(entry), "texts": _texts(entry)}
    error = _errors().get(wanted.upper())
    if error is None:
        return None
    return {
        **_head("CodeExplanation"),
        "code": error.code,
        "name": error.__name__,
        "cause": " ".join(inspect.cleandoc(error.__doc__ or "").split()),
        "fault": str(error.fault),
        "exit_code": error.exit_code,
    }


def is_code(word: str) -> bool:
    """Whether a word has the form of a code."""
    return _CODE.fullmatch(word) is not None


def codes() -> list[str]:
    """Every code that can be explained."""
    return sorted([*(entry.code for entry in catalogue.ENTRIES), *_errors()])


def understood(pasted: str) -> list[str]:
    """What can be said of a text in any case."""
    facts = []
    if runtime := catalogue.runtime_of(pasted):
        facts.append(f"it looks like {runtime}")
    if alert := catalogue.alert_of(pasted):
        facts.append(f"the other side sent the TLS alert {alert} (RFC 8446, section 6)")
    if openssl := re.search(r"error:([0-9A-Fa-f]{8}):", pasted):
        facts.append(f"error {openssl[1].upper()} of OpenSSL: openssl errstr {openssl[1].upper()} names it")
    if status := re.search(r"\bHTTP/[\d.]+ ([1-5]\d\d)\b", pasted):
        facts.append(f"an answer with status {status[1]} came, so TLS was up")
    return facts


def _head(kind: str) -> dict[str, Any]:
    return {"apiVersion": "handsel/v1", "kind": kind}


def _asked(seen: Seen) -> str:
    """What was sent just now, with the answer's status where the log has it."""
    status = next((line["status"] for line in reversed(seen.outbound) if line.get("status")), None)
    return f"{seen.asked} → {status}" if seen.asked and status else seen.asked


def _found(found: Found) -> dict[str, Any]:
    return {**_entry(found.entry), "found_by": str(found.face.side), "meaning": found.face.meaning}


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "code": entry.code,
        "name": entry.name,
        "cause": entry.cause,
        "fault": str(entry.fault),
        "versions": entry.versions,
        "also": list(entry.also),
        "check": catalogue.filled(entry.check),
        "fix": catalogue.filled(entry.fix),
    }


def _texts(entry: Entry) -> list[dict[str, str]]:
    """How each runtime says it."""
    return [
        {"found_by": str(face.side), "runtime": runtime, "text": text}
        for face in entry.faces
        for runtime, text in face.examples
    ]


def _errors() -> dict[str, type[HandselError]]:
    """Every error of our own, by its code."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HandselError)]
    return {kind.code: kind for kind in kinds if kind is not HandselError}
