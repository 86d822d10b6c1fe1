"""Challenges: started by the client, looked at by a probe, then settled (RFC 8555, section 7.5.1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem, malformed
from handsel.authority.acme.model import Authorization, Challenge, Saved, authorization_status
from handsel.store.journal import entry
from handsel.store.outcome import Outcome


def start(authorization: Authorization, challenge: Challenge, *, now: datetime) -> Outcome[bool]:
    """The client is ready. Answers whether there is something to look at: a challenge is tried once."""
    status = authorization_status(authorization, now)
    if challenge.status is not Status.PENDING:
        return Outcome((), False)
    if status is not Status.PENDING:
        raise malformed(f"the authorization is {status}")
    started = authorization.with_challenge(replace(challenge, status=Status.PROCESSING))
    return Outcome((Saved(started),), True)


def settle(authorization: Authorization, kind: str, failure: Problem | None, *, now: datetime) -> Outcome[None]:
    """What the probe found: one valid challenge makes the authorization valid, a failed one makes it invalid."""
    challenge = authorization.challenge(kind)
    if challenge is None or challenge.status is not Status.PROCESSING or authorization.status is not Status.PENDING:
        return Outcome((), None)
    status = Status.VALID if failure is None else Status.INVALID
    settled = replace(
        challenge, status=status, validated=now if failure is None else None,
        error=failure.to_json() if failure else None,
    )  # fmt: skip
    changed = replace(authorization.with_challenge(settled), status=status)
    line = entry(
        "validated" if failure is None else "not validated", now, account=authorization.account_id,
        identifier=authorization.identifier.value, challenge=kind, reason=failure.detail if failure else "",
    )  # fmt: skip
    return Outcome((Saved(changed), line), None)


def withdraw(authorization: Authorization, *, now: datetime) -> Outcome[Authorization]:
    """The client gives an authorization up (section 7.5.2)."""
    status = authorization_status(authorization, now)
    if status not in (Status.PENDING, Status.VALID):
        raise malformed(f"the authorization is {status}")
    withdrawn = replace(authorization, status=Status.DEACTIVATED)
    return Outcome((Saved(withdrawn),), withdrawn)
