"""The states of ACME's objects, and which may follow which (RFC 8555, section 7.1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Every state of accounts, orders, authorizations and challenges."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


_Table = Mapping[Status, frozenset[Status]]

ACCOUNT: _Table = {Status.VALID: frozenset({Status.DEACTIVATED, Status.REVOKED})}
ORDER: _Table = {
    Status.PENDING: frozenset({Status.READY, Status.INVALID}),
    Status.READY: frozenset({Status.PROCESSING, Status.INVALID}),
    # Back to ready only after a crash between the two commits of issuing: nobody was given a certificate.
    Status.PROCESSING: frozenset({Status.VALID, Status.INVALID, Status.READY}),
}
AUTHORIZATION: _Table = {
    Status.PENDING: frozenset({Status.VALID, Status.INVALID, Status.DEACTIVATED, Status.EXPIRED}),
    Status.VALID: frozenset({Status.EXPIRED, Status.DEACTIVATED, Status.REVOKED}),
}
CHALLENGE: _Table = {
    Status.PENDING: frozenset({Status.PROCESSING}),
    Status.PROCESSING: frozenset({Status.VALID, Status.INVALID}),
}


def may_follow(table: _Table, before: Status, after: Status) -> bool:
    """Whether an object in the state `before` may go to `after`. States without an entry are final."""
    return after in table.get(before, frozenset())
