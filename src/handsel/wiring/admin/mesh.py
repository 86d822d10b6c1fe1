"""Acts about the mesh: status, compiled configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from handsel.authority.adapters.tables import Directory
from handsel.authority.administration import Role
from handsel.authority.model import Issuers
from handsel.errors import UsageError
from handsel.mesh.scope import Places
from handsel.mesh.stages import Stage, show
from handsel.model.graph import Mesh
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.server_status import describe


@dataclass(frozen=True)
class Seen:
    """What a server knows of its mesh at one moment."""

    mesh: Mesh
    places: Places
    issuers: Issuers
    url: str
    metrics_url: str
    lint: str = ""


def acts(see: Callable[[], Seen], directory: Directory, notes: Callable[[], Awaitable[list[str]]]) -> Acts:
    """What may be asked about the mesh of a server. `notes`: what its status warns of besides."""

    async def status(_asked: Asked) -> Any:
        seen = see()
        described = describe(
            seen.mesh, seen.places, seen.issuers.mesh, await directory.hosts(), seen.url, seen.metrics_url,
            await directory.issued_count(), seen.lint,
        )  # fmt: skip
        return {**described, "warnings": await notes()}

    async def config(asked: Asked) -> Any:
        try:
            stage = Stage(asked.query.get("stage", ""))
        except ValueError as error:
            raise UsageError(f"a stage is one of {', '.join(Stage)}") from error
        return show(see().mesh, see().places, stage)

    return {
        ("GET", "/v1/status"): Act(Role.VIEWER, status),
        ("GET", "/v1/config"): Act(Role.VIEWER, config),
    }
