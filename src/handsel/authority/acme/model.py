"""The objects of ACME (RFC 8555, section 7.1), as the authority keeps them.

Each has a `revision`, counted up by every change: a change that was decided on an older one is not written.
What expires reads as expired from that moment, though nothing has written it: ask `order_status` and its like.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from handsel.acme.lifecycle import Status
from handsel.acme.problems import Identifier, Problem
from handsel.pki.secret import Secret


@dataclass(frozen=True)
class Account:
    """A client's account; its key is `jwk`, `thumbprint` that key's name (RFC 7638)."""

    account_id: str
    jwk: Mapping[str, str]
    thumbprint: str
    contact: tuple[str, ...]
    created: datetime
    status: Status = Status.VALID
    external_key: str | None = None
    terms: str | None = None
    """The address of the terms of service that the client agreed to."""
    revision: int = 0


@dataclass(frozen=True)
class Challenge:
    """One way to prove control of an identifier. `error` is a problem document."""

    kind: str
    token: str
    status: Status = Status.PENDING
    validated: datetime | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Authorization:
    """That an account controls an identifier, or how it may prove it. The identifier has no `*.`, see `wildcard`."""

    authorization_id: str
    account_id: str
    identifier: Identifier
    wildcard: bool
    expires: datetime
    challenges: tuple[Challenge, ...]
    status: Status = Status.PENDING
    ahead: bool = False
    """Whether it was asked for before any order (section 7.4.1): then later orders use it."""
    revision: int = 0

    def challenge(self, kind: str) -> Challenge | None:
        return next((each for each in self.challenges if each.kind == kind), None)

    def with_challenge(self, changed: Challenge) -> Authorization:
        """The same with one challenge replaced."""
        challenges = tuple(changed if each.kind == changed.kind else each for each in self.challenges)
        return replace(self, challenges=challenges)


@dataclass(frozen=True)
class Order:
    """A wish for a certificate. `status` is stored as pending, processing, valid or invalid; see `order_status`."""

    order_id: str
    account_id: str
    identifiers: tuple[Identifier, ...]
    authorizations: tuple[str, ...]
    profile: str
    created: datetime
    expires: datetime
    not_after: datetime | None = None
    replaces: str | None = None
    status: Status = Status.PENDING
    serial: str | None = None
    request_hash: str | None = None
    error: Mapping[str, Any] | None = None
    revision: int = 0


@dataclass(frozen=True)
class ExternalKey:
    """A key that lets somebody open an account (section 7.3.4). `bound_to` is the last account that it opened.

    `profile` and `names` limit what its accounts may order, also when it was `removed` and opens no more.
    """

    key_id: str
    secret: Secret
    created: datetime
    expires: datetime | None = None
    profile: str | None = None
    names: tuple[str, ...] = ()
    reusable: bool = False
    comment: str = ""
    bound_to: str | None = None
    removed: datetime | None = None
    revision: int = 0


@dataclass(frozen=True)
class Saved:
    """An object as it is now. Conflicts when somebody else changed it since its revision."""

    what: Account | Authorization | Order | ExternalKey = field(repr=False)


def authorization_status(authorization: Authorization, now: datetime) -> Status:
    """The state as it reads at this moment: what was not used in time is expired."""
    if authorization.status in (Status.PENDING, Status.VALID) and now >= authorization.expires:
        return Status.EXPIRED
    return authorization.status


def order_status(order: Order, authorizations: Sequence[Authorization], now: datetime) -> Status:
    """The state as it reads at this moment: ready follows from the authorizations, invalid also from the time."""
    if order.status is Status.PROCESSING and now >= order.expires:
        return Status.INVALID
    if order.status is not Status.PENDING:
        return order.status
    states = {authorization_status(each, now) for each in authorizations}
    if now >= order.expires or states - {Status.PENDING, Status.VALID}:
        return Status.INVALID
    return Status.READY if states == {Status.VALID} else Status.PENDING


def order_error(order: Order, authorizations: Sequence[Authorization], now: datetime) -> Mapping[str, Any] | None:
    """Why an order reads as invalid: a problem with a subproblem for each name (section 6.7.1)."""
    if order.error is not None or order_status(order, authorizations, now) is not Status.INVALID:
        return order.error
    failed = [
        _as_problem(challenge.error, authorization.identifier)
        for authorization in authorizations
        for challenge in authorization.challenges
        if challenge.error is not None
    ]
    if failed:
        return Problem("unauthorized", "control of a name was not proven", subproblems=failed).to_json()
    return Problem("unauthorized", "the order was not fulfilled in time, or an authorization was withdrawn").to_json()


def _as_problem(document: Mapping[str, Any], identifier: Identifier) -> Problem:
    kind = str(document["type"]).rpartition(":")[2]
    return Problem(kind, str(document["detail"]), status=int(document["status"]), identifier=identifier)


def random_id() -> str:
    """An id that nobody guesses: 128 random bits (section 11.3 asks that of tokens)."""
    return secrets.token_hex(16)
