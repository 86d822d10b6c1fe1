"""Acts that change what a running server's mesh is: resources applied, listed, and what that would do."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from handsel.authority.administration import Role
from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile, UsageError
from handsel.mesh.preview import Preview, preview
from handsel.mesh.scope import Places
from handsel.mesh.stages import plain
from handsel.model.applied import Change, What
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.configuration import Configuration, Outlook, Wish

LARGER = {f"{prefix}/v1/apply": 24 << 20 for prefix in ("", "/admin")}
"""Bytes of a body: sixteen MiB of files, as JSON."""

_MOST_FILES = 10_000


def acts(configuration: Configuration, places: Callable[[], Places]) -> Acts:
    """What may be asked about the resources of a server."""

    async def apply(asked: Asked) -> Any:
        wish = _wish(asked)
        now = configuration.mesh
        dry_run = bool(asked.wish.get("dry_run"))
        outlook = await (configuration.outlook(wish) if dry_run else configuration.apply(wish, asked.by))
        return _answer(outlook, preview(now, outlook.mesh, places()), dry_run=dry_run)

    async def applied(_asked: Asked) -> Any:
        return {"resources": await configuration.listed(), "problem": list(configuration.problem)}

    return {
        ("POST", "/v1/apply"): Act(Role.OPERATOR, apply),
        ("GET", "/v1/apply"): Act(Role.VIEWER, applied),
    }


def _wish(asked: Asked) -> Wish:
    files = asked.wish.get("files")
    if not isinstance(files, list) or not files or len(files) > _MOST_FILES:
        raise UsageError(f"files is a list of 1 to {_MOST_FILES} files, each with name and text")
    documents: list[Document] = []
    faults: list[FileFault] = []
    for each in files:
        name, text = (each.get("name"), each.get("text")) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise UsageError("each file has a name and a text")
        try:
            documents += yaml.parse(text.encode(), name)
        except InvalidFile as error:
            faults += error.faults
    if faults:
        raise InvalidFile(sorted(faults))
    return Wish(tuple(documents), str(asked.wish.get("set", "")), bool(asked.wish.get("prune")))


def _answer(outlook: Outlook, seen: Preview, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "changes": [
            {"resource": str(each.id), "what": each.what, "place": each.place, "diff": _diff(each)}
            for each in outlook.changes
        ],
        "findings": [plain(each) for each in outlook.mesh.findings],
        "proxies": [plain(each) for each in seen.proxies],
        "connections": [plain(each) for each in seen.lost],
    }


def _diff(change: Change) -> str:
    if change.what is What.UNCHANGED:
        return ""
    before, after = change.before.splitlines(), change.after.splitlines()
    return "\n".join(difflib.unified_diff(before, after, "applied", change.place, lineterm=""))
