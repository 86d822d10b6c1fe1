"""Acts of revocation: a certificate is not to be believed any more, and the lists that say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from handsel.authority import revocation
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.tables import Directory
from handsel.authority.administration import Role
from handsel.authority.revocation import Reason
from handsel.authority.va.lists import CrlMade
from handsel.errors import UsageError
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.admin.acts import Act, Acts, Asked

OFFERED = tuple(reason for reason in Reason if reason is not Reason.CERTIFICATE_HOLD)
"""A hold could be lifted, and that is not offered."""


def acts(
    store: SqlStore, directory: Directory, taken_in: Callable[[], Awaitable[None]],
    lists: Callable[[], list[CrlMade]], build: Callable[[], Awaitable[list[CrlMade]]],
) -> Acts:  # fmt: skip
    """What may be asked about revocation. `taken_in` returns when OCSP knows of what was committed."""

    async def revoke(asked: Asked) -> Any:
        serial, reason = _read(asked.wish)
        found = await directory.record(serial)
        if found is None:
            raise UsageError(f"no certificate with the serial number {serial} was issued here")
        if found.revoked_at is not None:
            raise UsageError(f"{serial} was revoked at {found.revoked_at.isoformat()}")
        moment = now()
        if not asked.wish.get("dry_run"):
            outcome = revocation.revoke(serial, found.issuer, reason, by=asked.by, now=moment)
            await store.commit(outcome.writes)
            await taken_in()
        certificate = found.certificate
        return {
            "serial": serial, "names": [*certificate.uri_names, *certificate.dns_names, *certificate.ip_names],
            "issuer": found.issuer, "profile": found.profile, "reason": _written(reason),
            "revoked_at": moment.isoformat(), "not_after": certificate.not_after.isoformat(),
        }  # fmt: skip

    async def show(_asked: Asked) -> Any:
        return [_shown(each) for each in lists()]

    async def build_now(_asked: Asked) -> Any:
        return [_shown(each) for each in await build()]

    return {
        ("POST", "/v1/certificates/revoke"): Act(Role.OPERATOR, revoke),
        ("GET", "/v1/crls"): Act(Role.VIEWER, show),
        ("POST", "/v1/crls/build"): Act(Role.OPERATOR, build_now),
    }


def _read(wish: dict[str, Any]) -> tuple[str, Reason]:
    """The serial number in lower-case hex, and the reason. Raises `UsageError`."""
    written = str(wish.get("serial", "")).replace(":", "").lower()
    try:
        serial = f"{int(written, 16):x}"
    except ValueError as error:
        raise UsageError("a serial number is written in hex") from error
    reasons = {_written(reason): reason for reason in OFFERED}
    reason = reasons.get(str(wish.get("reason", "unspecified")))
    if reason is None:
        raise UsageError(f"a reason is one of {', '.join(reasons)}")
    return serial, reason


def _written(reason: Reason) -> str:
    return reason.name.lower().replace("_", "-")


def _shown(made: CrlMade) -> dict[str, Any]:
    return {
        "issuer": made.issuer, "name": made.name, "number": made.number, "base_number": made.base_number,
        "entries": made.entries, "bytes": len(made.der), "this_update": made.this_update.isoformat(),
        "next_update": made.next_update.isoformat(),
    }  # fmt: skip
