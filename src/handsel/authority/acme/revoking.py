"""Who may revoke by ACME, and why (RFC 8555, section 7.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from handsel.acme.jws import Jwk
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Identifier, Problem
from handsel.authority import revocation
from handsel.authority.acme.model import Account, Authorization, authorization_status
from handsel.authority.directory import Record
from handsel.authority.revocation import Reason, Revoked
from handsel.pki.certificate import Certificate
from handsel.pki.keys import public_der
from handsel.store.outcome import Outcome

_FOR_THE_CA = {Reason.CA_COMPROMISE, Reason.AA_COMPROMISE}
"""What only an authority can know of itself."""
FOR_CLIENTS = tuple(reason for reason in Reason if reason not in _FOR_THE_CA)


def read_reason(wish: Mapping[str, Any]) -> Reason:
    """Why a client revokes. Raises `Problem` (`badRevocationReason`)."""
    code = wish.get("reason", 0)
    if isinstance(code, bool) or code not in FOR_CLIENTS:
        allowed = ", ".join(str(int(each)) for each in FOR_CLIENTS)
        raise Problem("badRevocationReason", f"reasons are {allowed} here")
    return Reason(code)


def names_of(certificate: Certificate) -> tuple[tuple[Identifier, bool], ...] | None:
    """What an account must control to revoke: identifiers, each with whether it is a wildcard. None: it cannot."""
    if certificate.uri_names:
        return None
    dns = [(Identifier("dns", each.removeprefix("*.")), each.startswith("*.")) for each in certificate.dns_names]
    ip = [(Identifier("ip", str(ipaddress.ip_address(each))), False) for each in certificate.ip_names]
    return (*dns, *ip) or None


def is_authorized(certificate: Certificate, proven: Iterable[Authorization], now: datetime) -> bool:
    """Whether these authorizations cover every name of the certificate."""
    wanted = names_of(certificate)
    valid = {(each.identifier, each.wildcard) for each in proven if authorization_status(each, now) is Status.VALID}
    return wanted is not None and set(wanted) <= valid


def is_issued_to(record: Record, account: Account) -> bool:
    """Whether the account ordered this certificate."""
    return record.requested_by == f"account/{account.account_id}"


def is_key_of(record: Record, key: Jwk) -> bool:
    """Whether this is the key of the certificate."""
    return record.certificate.public_key_der == public_der(key.key)


def revoke(record: Record, reason: Reason, *, by: str, now: datetime) -> Outcome[Revoked]:
    """Revoke a certificate for somebody who has the right. Raises `Problem` (`alreadyRevoked`)."""
    if record.revoked_at is not None:
        raise Problem("alreadyRevoked", f"it was revoked at {record.revoked_at:%Y-%m-%dT%H:%M:%SZ}")
    return revocation.revoke(record.certificate.serial, record.issuer, reason, by=by, now=now)
