"""What `mesh tap` shows: which calls, and how each reads on a line or as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handsel.telemetry.join_logs import Call

_STATUS = re.compile(r"[1-5]xx|[1-5]\d\d")
_IDENTITY = re.compile(r"spiffe://[^/]+/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)")

FLAGS = {
    "UH": "no healthy upstream",
    "UF": "connection failed",
    "UO": "too many at once",
    "NR": "no route",
    "URX": "retries used up",
    "NC": "no such cluster",
    "DC": "client left",
    "DT": "too long in all",
    "LR": "reset here",
    "UR": "reset by upstream",
    "UC": "upstream closed",
    "UT": "upstream timed out",
    "SI": "stream idle too long",
    "DPE": "malformed by client",
    "UPE": "malformed by upstream",
    "UAEX": "refused by a policy",
    "RL": "rate limited",
    "DI": "delayed on purpose",
    "FI": "failed on purpose",
    "IH": "bad header",
    "DO": "proxy overloaded",
    "UMSDR": "request too long in time",
    "NFCF": "no filter configuration",
    "OM": "proxy overloaded",
    "DF": "name not found",
    "DR": "reset by client",
}
"""Envoy's response flags in words (`%RESPONSE_FLAGS%`)."""


@dataclass(frozen=True)
class Seen:
    """One call as it is shown. Identities are SPIFFE IDs, or empty; `caller` and `callee` are names for people."""

    time: str
    caller: str
    callee: str
    caller_identity: str
    callee_identity: str
    what: str
    status: str
    milliseconds: int | None
    tls: str
    notes: tuple[str, ...]
    request_id: str = ""
    ends: int = 1


@dataclass(frozen=True)
class Filter:
    """Which calls are shown. Services are told by name or by identity; `status` is `5xx`, `404` or empty."""

    service: str = ""
    source: str = ""
    target: str = ""
    status: str = ""

    def __post_init__(self) -> None:
        if self.status and not _STATUS.fullmatch(self.status):
            raise ValueError("a status is a number such as 404, or a class such as 5xx")

    def shows(self, seen: Seen) -> bool:
        """Whether a call is one of those."""
        caller, callee = {seen.caller, seen.caller_identity}, {seen.callee, seen.callee_identity}
        return (
            (not self.service or self.service in caller | callee)
            and (not self.source or self.source in caller)
            and (not self.target or self.target in callee)
            and (not self.status or self._fits(seen.status))
        )

    def _fits(self, status: str) -> bool:
        return status == self.status or (self.status.endswith("xx") and status[:1] == self.status[:1])


def show(call: Call, names: Mapping[str, str]) -> Seen:
    """A call in words. `names`: the services' names by identity."""
    caller, callee = call.caller, call.callee
    source = _first(caller and caller.record.get("local_uri"), callee and callee.record.get("peer_uri"))
    target = _first(callee and callee.record.get("local_uri"), caller and caller.record.get("peer_uri"))
    to = str(caller.record.get("callee") or "").partition(".")[0] if caller else ""
    return Seen(
        time=str(call.of("start") or ""),
        caller=caller.service if caller else _name(source, names) or _host(call.of("peer")),
        callee=callee.service if callee else _name(target, names) or to or str(call.of("authority") or "?"),
        caller_identity=source,
        callee_identity=target,
        what=_what(call),
        status=_status(call),
        milliseconds=_number(call.of("duration_ms")),
        tls=_tls(call),
        notes=_notes(call),
        request_id=str(call.of("request_id") or ""),
        ends=(caller is not None) + (callee is not None),
    )


def line(seen: Seen) -> str:
    """One line, without what would move a terminal's cursor."""
    time = seen.time[11:23] or "-"
    took = "" if seen.milliseconds is None else f"{seen.milliseconds} ms"
    notes = f"  [{'; '.join(seen.notes)}]" if seen.notes else ""
    text = f"{time}  {seen.caller} → {seen.callee}  {seen.what}  {seen.status} {took}".rstrip() + f"  {seen.tls}{notes}"
    return "".join(each if each.isprintable() else "?" for each in text)


def to_json(seen: Seen) -> dict[str, Any]:
    """The same for programs."""
    return {
        "time": seen.time,
        "from": seen.caller,
        "to": seen.callee,
        "from_identity": seen.caller_identity,
        "to_identity": seen.callee_identity,
        "what": seen.what,
        "status": seen.status,
        "duration_ms": seen.milliseconds,
        "tls": seen.tls,
        "notes": list(seen.notes),
        "request_id": seen.request_id,
        "ends": seen.ends,
    }


def _what(call: Call) -> str:
    method = call.of("method")
    if method is None:
        return "handshake" if call.of("tls_failure") else "connection"
    return f"{method} {str(call.of('path') or '-')[:200]}"


def _status(call: Call) -> str:
    status = _number(call.of("status"))
    if status:
        grpc = call.of("grpc_status")
        return f"{status} {grpc}" if grpc not in (None, "OK", "0", 0) else str(status)
    return "refused" if call.of("tls_failure") else "-" if call.of("method") else "open"


def _tls(call: Call) -> str:
    version, group = call.of("tls_version"), call.of("tls_group")
    # A handshake that failed names the version that it began with.
    if not version or (call.of("tls_failure") and not group):
        return "no TLS"
    return f"{str(version).replace('TLSv', 'TLS ')} {group or ''}".strip()


def _notes(call: Call) -> tuple[str, ...]:
    notes: dict[str, None] = {}
    for half in (call.caller, call.callee):
        record = half.record if half else {}
        flags = [flag for flag in str(record.get("flags") or "-").split(",") if flag != "-"]
        notes |= dict.fromkeys(FLAGS.get(flag, flag) for flag in flags)
        if failure := record.get("tls_failure"):
            notes[_failure(str(failure))] = None
        if record.get("plaintext") == "yes":
            notes["plaintext"] = None
        if record.get("details") == "direct_response":
            notes["answered by the proxy"] = None
    return tuple(notes)


_FAILURES = (
    ("HTTP_REQUEST", "plaintext came"),
    ("WRONG_VERSION_NUMBER", "plaintext came"),
    ("UNSUPPORTED_PROTOCOL", "TLS too old"),
    ("DID_NOT_RETURN_A_CERTIFICATE", "no certificate"),
    ("SAN_matcher", "not this identity"),
    ("verify_SAN_list", "not this identity"),
    ("certificate_has_expired", "certificate ended"),
    ("certificate_revoked", "certificate revoked"),
    ("CERTIFICATE_VERIFY_FAILED", "certificate not believed"),
)
"""Words in BoringSSL's reasons, the most telling first."""


def _failure(reason: str) -> str:
    words = reason.replace(" ", "_")
    return next((text for word, text in _FAILURES if word in words), "TLS failed")


def _name(identity: str, names: Mapping[str, str]) -> str:
    if not identity or identity in names:
        return names.get(identity, "")
    found = _IDENTITY.fullmatch(identity)
    if found is None:
        return identity
    return found["account"] if found["namespace"] == "default" else f"{found['namespace']}/{found['account']}"


def _first(*values: Any) -> str:
    return next((str(value) for value in values if value), "")


def _host(address: Any) -> str:
    return str(address or "?").rpartition(":")[0] or "?"


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None
