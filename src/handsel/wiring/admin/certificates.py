"""Acts about the directory: what was issued, and what ends next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from handsel.authority import service
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.adapters.search_tables import Search
from handsel.authority.administration import Role
from handsel.authority.model import Domain
from handsel.authority.profile import DEFAULT
from handsel.authority.search import Found, forecast, read_wanted
from handsel.errors import UsageError
from handsel.pki.certificate import to_pem
from handsel.wiring.admin.acts import Act, Acts, Asked

_MOST_SPANS = 1000


def acts(search: Search, issuing: Issuing, domain: Callable[[], Domain]) -> Acts:
    """What may be asked about certificates, and for one."""

    async def issue(asked: Asked) -> Any:
        profile = str(asked.wish.get("profile") or DEFAULT)
        intent = service.certify(
            asked.csr_der, profile, by=asked.by, domain=domain(), issuers=issuing.issuers(), now=now()
        )  # fmt: skip
        (leaf,) = await issuing.issue(intent)
        return {"chain": to_pem(leaf.chain).decode(), "roots": to_pem(issuing.issuers().roots).decode()}

    async def find(asked: Asked) -> Any:
        moment = now()
        wanted = read_wanted(dict(asked.query), now=moment)
        return [_shown(each, moment) for each in await search.find(wanted, now=moment)]

    async def ends(asked: Asked) -> Any:
        try:
            span = timedelta(seconds=float(asked.query.get("span", "86400")))
            spans = int(asked.query.get("spans", "30"))
            if span <= timedelta(0) or not 1 <= spans <= _MOST_SPANS:
                raise ValueError(f"there are 1 to {_MOST_SPANS} spans, longer than nothing")
            until = span * spans
        except (ValueError, OverflowError) as error:
            raise UsageError(f"this cannot be forecast: {error}") from error
        moment = now()
        found = forecast(await search.ends(now=moment, until=until), now=moment, span=span, spans=spans)
        return [
            {"begins": each.begins.isoformat(), "ends": each.ends.isoformat(), "by_profile": each.by_profile}
            for each in found
        ]

    return {
        ("POST", "/v1/certificates/issue"): Act(Role.OPERATOR, issue),
        ("GET", "/v1/certificates"): Act(Role.VIEWER, find),
        ("GET", "/v1/certificates/forecast"): Act(Role.VIEWER, ends),
    }


def _shown(found: Found, moment: datetime) -> dict[str, Any]:
    return {
        "serial": found.serial,
        "identity": found.identity,
        "names": list(found.names),
        "state": str(found.state(moment)),
        "issuer": found.issuer,
        "profile": found.profile,
        "requested_by": found.requested_by,
        "sha256": found.fingerprint,
        "not_before": found.not_before.isoformat(),
        "not_after": found.not_after.isoformat(),
        "revoked_at": found.revoked_at.isoformat() if found.revoked_at else None,
        "reason": found.reason,
    }
