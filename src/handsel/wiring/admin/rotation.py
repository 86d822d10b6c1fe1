"""Acts about the rotation of CAs."""

from __future__ import annotations

from typing import Any

from handsel.authority.administration import Role
from handsel.errors import UsageError
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.rotation import Rotations

_LONGEST_REASON = 500


def acts(rotations: Rotations) -> Acts:
    """Begin, watch and steer rotations."""

    async def everything(_asked: Asked) -> Any:
        return await rotations.all_shown()

    async def begin(asked: Asked) -> Any:
        dry_run = asked.wish.get("dry_run") is True
        return await rotations.begin(_name(asked), by=asked.by, dry_run=dry_run)

    async def rehearse(asked: Asked) -> Any:
        return await rotations.rehearse(_name(asked))

    async def pause(asked: Asked) -> Any:
        return await rotations.control(_name(asked), by=asked.by, paused=True)

    async def resume(asked: Asked) -> Any:
        return await rotations.control(_name(asked), by=asked.by, paused=False)

    async def undo(asked: Asked) -> Any:
        return await rotations.undo(_name(asked), by=asked.by)

    async def override(asked: Asked) -> Any:
        return await rotations.control(_name(asked), by=asked.by, override=_reason(asked))

    async def taint(asked: Asked) -> Any:
        return await rotations.taint(_name(asked), by=asked.by, reason=_reason(asked))

    verbs = {
        "begin": begin, "rehearse": rehearse, "pause": pause, "resume": resume, "undo": undo, "override": override,
        "taint": taint,
    }  # fmt: skip
    return {
        ("GET", "/v1/rotations"): Act(Role.VIEWER, everything),
        **{("POST", f"/v1/rotations/{verb}"): Act(Role.ADMINISTRATOR, act) for verb, act in verbs.items()},
    }


def _name(asked: Asked) -> str:
    return str(asked.wish.get("name", ""))


def _reason(asked: Asked) -> str:
    reason = str(asked.wish.get("reason", "")).strip()
    if not 1 <= len(reason) <= _LONGEST_REASON:
        raise UsageError(f"a reason has 1 to {_LONGEST_REASON} characters: it is kept in the journal")
    return reason
