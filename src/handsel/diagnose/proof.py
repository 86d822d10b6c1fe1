"""The proof that a mesh is mutual TLS: what was tried, what came back, and what that proves.

A refusal counts only beside its control: the same probe with the right certificate was let in. Silence is not refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from handsel.diagnose.evidence import TlsSeen


class Outcome(StrEnum):
    """What happened to a probe at a mesh port."""

    LET_IN = "let in"
    ALERT = "alert"
    CLOSED = "closed"
    SILENT = "silent"
    ANSWERED = "answered"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Attempt:
    """A probe's outcome; `alert` is the name of the TLS alert that came (RFC 8446, section 6)."""

    outcome: Outcome
    alert: str = ""

    def is_alert(self, *names: str) -> bool:
        return self.outcome is Outcome.ALERT and self.alert in names


# What Envoy sends when a certificate of the right CA has a name that is not allowed.
NAME_REFUSED = ("certificate_unknown", "bad_certificate")


@dataclass(frozen=True)
class EdgeAttempts:
    """Everything that was tried for one edge between two services."""

    seen: TlsSeen | None
    control: Attempt
    plaintext: Attempt
    tls12: Attempt
    no_certificate: Attempt
    foreign: Attempt
    other_identity: Attempt
    wrong_callee_refused: bool
    policy: frozenset[str]
    certificate_demanded: bool


@dataclass(frozen=True)
class Expected:
    """Who should be at the two ends, and who may call the callee at all."""

    caller: str
    callee: str
    allowed: frozenset[str]


def judge_edge(caller: str, callee: str, attempts: EdgeAttempts, expected: Expected) -> dict[str, Any]:
    """One entry of `edges`. `ok` only if everything was shown."""
    seen = attempts.seen
    controlled = attempts.control.outcome is Outcome.LET_IN
    refusals = {
        "plaintext_refused": controlled and attempts.plaintext.outcome is Outcome.CLOSED,
        "tls12_refused": controlled and attempts.tls12.is_alert("protocol_version"),
        "no_certificate_refused": controlled
        and attempts.no_certificate.is_alert("certificate_required")
        and attempts.certificate_demanded,
        "foreign_certificate_refused": controlled and attempts.foreign.is_alert("unknown_ca"),
        "other_identity_refused": controlled and attempts.other_identity.is_alert(*NAME_REFUSED),
        "wrong_callee_refused": attempts.wrong_callee_refused,
    }
    connected = (
        seen is not None
        and seen.version == "TLSv1.3"
        and seen.caller == expected.caller
        and seen.callee == expected.callee
    )
    policy_exact = attempts.policy == expected.allowed
    return {
        "from": caller,
        "to": callee,
        "ok": connected and controlled and policy_exact and all(refusals.values()),
        **_tls(seen),
        "control_let_in": controlled,
        **refusals,
        "policy_exact": policy_exact,
    }


def judge_external(
    caller: str, external: str, *, answered: bool, tls_expected: bool, line: Mapping[str, Any]
) -> dict[str, Any]:
    """The entry of an edge to the outside: the other side is not ours to probe, so its refusals are null."""
    version = line.get("tls_version")
    names = line.get("peer_dns")
    return {
        "from": caller,
        "to": external,
        "ok": answered and (not tls_expected or bool(version)),
        "tls_version": version,
        "group": line.get("tls_group"),
        "caller": None,
        "callee": names,
        "control_let_in": None,
        "plaintext_refused": None,
        "tls12_refused": None,
        "no_certificate_refused": None,
        "foreign_certificate_refused": None,
        "other_identity_refused": None,
        "wrong_callee_refused": None,
        "policy_exact": None,
    }


def judge_denied(caller: str, callee: str, attempt: Attempt, *, has_way: bool) -> dict[str, Any]:
    """One entry of `denied`: a pair that is not in `calls`."""
    return {"from": caller, "to": callee, "refused": attempt.is_alert(*NAME_REFUSED) and not has_way}


def report(
    edges: Sequence[dict[str, Any]], denied: Sequence[dict[str, Any]], timings: Mapping[str, float]
) -> dict[str, Any]:
    """The whole report (`kind: UpReport`). A mesh without an edge proves nothing, and says so by `ok: false`."""
    return {
        "apiVersion": "handsel/v1",
        "kind": "UpReport",
        "ok": bool(edges) and all(edge["ok"] for edge in edges) and all(each["refused"] for each in denied),
        "edges": list(edges),
        "denied": list(denied),
        "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
    }


def _tls(seen: TlsSeen | None) -> dict[str, Any]:
    if seen is None:
        return {"tls_version": None, "group": None, "caller": None, "callee": None}
    return {"tls_version": seen.version, "group": seen.group, "caller": seen.caller, "callee": seen.callee}
