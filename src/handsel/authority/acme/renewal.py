"""When to renew, and what a new order replaces (RFC 9773)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from handsel.acme.certid import CertificateId
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Identifier, Problem, malformed
from handsel.authority.acme.model import Account, Authorization, Order, Saved, order_status
from handsel.authority.directory import Record
from handsel.authority.model import Issuers
from handsel.authority.rotation import taken_over
from handsel.store.outcome import Outcome

_SOONEST, _LATEST = timedelta(minutes=1), timedelta(hours=6)


@dataclass(frozen=True)
class Window:
    """A client renews at a moment of its choice in here; at once when that is past."""

    start: datetime
    end: datetime


def window(record: Record, issuers: Issuers) -> Window:
    """Between half and two thirds of life; all in the past for what was revoked, or signed by a CA that signs no more
    (section 4.2)."""
    if record.revoked_at is not None:
        return Window(record.revoked_at - timedelta(days=1), record.revoked_at)
    begin = record.certificate.not_before
    life = record.certificate.not_after - begin
    if taken_over(record.certificate, tuple(issuers.by_name.values())):
        return Window(begin, begin + timedelta(seconds=1))
    return Window(begin + life / 2, begin + life * 2 / 3)


def look_again(record: Record) -> timedelta:
    """When a client asks again (section 4.3): some times in the life of the certificate, so that it sees a change."""
    life = record.certificate.not_after - record.certificate.not_before
    return max(_SOONEST, min(_LATEST, life / 12))


def is_named(record: Record | None, named: CertificateId) -> bool:
    """Whether this is the certificate that was named: a serial number alone is not enough."""
    return record is not None and record.certificate.authority_key_id == named.key_id


def require_replaceable(record: Record | None, named: CertificateId, account: Account) -> Record:
    """The certificate that an order may replace (section 5). Raises `Problem`."""
    if record is None or not is_named(record, named):
        raise malformed("replaces names no certificate of this authority")
    if record.requested_by != f"account/{account.account_id}":
        raise Problem("unauthorized", "replaces names a certificate of another account")
    return record


def require_shared(record: Record, identifiers: Sequence[Identifier]) -> None:
    """Raise `Problem` unless the new certificate has a name of the old one."""
    had = {*record.certificate.dns_names, *record.certificate.ip_names}
    if not had & {each.value for each in identifiers}:
        raise malformed("the order shares no identifier with the certificate that it replaces")


def take_over(holder: Order | None, authorizations: Sequence[Authorization], now: datetime) -> Outcome[None]:
    """Free what an order that came to nothing was to replace. Raises `Problem` when it still may, or did."""
    if holder is None:
        return Outcome((), None)
    if order_status(holder, authorizations, now) is not Status.INVALID:
        raise Problem("alreadyReplaced", "another order replaces this certificate")
    return Outcome((Saved(replace(holder, status=Status.INVALID)),), None)
