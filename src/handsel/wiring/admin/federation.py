"""Acts about bundles: our own as others read it, and those of the trust domains that we federate with."""

from __future__ import annotations

import json
from typing import Any

from handsel.authority.administration import Role
from handsel.errors import StateError
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.federation import Bundles


def acts(bundles: Bundles) -> Acts:
    """What may be asked about bundles."""

    async def own(_asked: Asked) -> Any:
        if bundles.own is None:
            raise StateError("the bundle is not made yet", next_step="ask again")
        return json.loads(bundles.own.body)

    async def everything(_asked: Asked) -> Any:
        return await bundles.all_shown()

    async def show(asked: Asked) -> Any:
        return await bundles.shown(asked.query.get("trust_domain", ""))

    async def refresh(asked: Asked) -> Any:
        name = str(asked.wish.get("trust_domain", ""))
        return await bundles.refresh(name, anew=asked.wish.get("anew") is True)

    return {
        ("GET", "/v1/bundle"): Act(Role.VIEWER, own),
        ("GET", "/v1/federation"): Act(Role.VIEWER, everything),
        ("GET", "/v1/federation/show"): Act(Role.VIEWER, show),
        ("POST", "/v1/federation/refresh"): Act(Role.OPERATOR, refresh),
    }
