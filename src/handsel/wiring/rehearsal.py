"""A rotation rehearsed: the keys are tried, the rest is played in memory, and nothing changes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from handsel.authority import hierarchy, rehearsal
from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import ROOT, CaPlan
from handsel.authority.rehearsal import Scene, Stage
from handsel.errors import HandselError, UsageError
from handsel.model.authority import Authority
from handsel.pki.certificate import Certificate
from handsel.pki.keys import KeyType, kind_of
from handsel.pki.names import TrustDomain

AWAY = "handsel ca next-root makes a root where its keys are; handsel ca request, sign and install an issuing CA"
"""What to do when the root's key is not here."""


def plan_of(name: str, settings: Authority) -> CaPlan:
    """What an issuing CA should be. Raises `UsageError` for one that is not there."""
    for plan in hierarchy.plans(settings.issuing):
        if plan.name == name:
            return plan
    raise UsageError(f"there is no issuing CA {name[:63]!r}")


async def rehearse(
    name: str, keys: KeyFolder, tables: Authorities, settings: Authority, trust_domain: TrustDomain, root: Certificate
) -> list[Scene]:
    """What would go well and what would not if this CA, or the root, were rotated now. `root`: the one that signs.

    Raises `UsageError` for a CA that is none.
    """
    plans = hierarchy.plans(settings.issuing) if name == ROOT else (plan_of(name, settings),)
    moment = now()
    living = {plan.name: await tables.living(plan.name, moment) for plan in plans}
    stage = Stage(trust_domain, root, plans, living, moment)
    play = partial(rehearsal.play_root, stage) if name == ROOT else partial(rehearsal.play_issuing, stage, plans[0])
    kind = kind_of(root.parsed.public_key()) if name == ROOT else plans[0].kind
    tried = [await asyncio.to_thread(_use_root, keys), await asyncio.to_thread(_keep_another, keys, name, kind)]
    return [*tried, *await asyncio.to_thread(play)]


def shown(scenes: list[Scene]) -> list[dict[str, Any]]:
    """The scenes as they are sent to people."""
    return [{"what": each.what, "problem": each.problem} for each in scenes]


def _use_root(keys: KeyFolder) -> Scene:
    what = "the root's key is here and can be used"
    try:
        if not keys.roots.can_sign():
            return Scene(what, f"it is elsewhere: {AWAY}")
        keys.keys.load(keys.roots.signing())
    except HandselError as error:
        return Scene(what, str(error))
    return Scene(what)


def _keep_another(keys: KeyFolder, name: str, kind: KeyType) -> Scene:
    """A key of the kind that will be made, kept and destroyed again."""
    what, probe = f"a new {kind} key can be kept in {keys.keys.custody}", f"{name}-rehearsal"
    try:
        keys.keys.make(probe, kind)
        keys.keys.remove(probe)
    except HandselError as error:
        return Scene(what, str(error))
    return Scene(what)
