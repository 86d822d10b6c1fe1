"""Revocation: from now on a certificate is not to be believed. One row, whatever was revoked before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from handsel.store.journal import entry
from handsel.store.outcome import Outcome


class Reason(IntEnum):
    """Why (RFC 5280, section 5.3.1). 7 is not used; removeFromCRL (8) is not offered."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


@dataclass(frozen=True)
class Revoked:
    """A certificate is revoked. As a write it conflicts when it was revoked before, or never issued."""

    serial: str
    issuer: str
    reason: Reason
    at: datetime
    by: str


def revoke(serial: str, issuer: str, reason: Reason, *, by: str, now: datetime) -> Outcome[Revoked]:
    """Revoke one certificate that was issued and not revoked yet; `by` goes into the journal."""
    revoked = Revoked(serial, issuer, reason, now, by)
    line = entry("revoked", now, serial=serial, reason=reason.name.lower(), by=by)
    return Outcome((revoked, line), revoked)
