"""What was applied, in a table of the server's store."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from handsel.model.applied import Applied, ResourceId
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_applied = sa.Table(
    "applied",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("namespace", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("set", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class ResourcesApplied:
    """These resources are applied now, and those of `gone` no longer. `by`: who asked."""

    resources: tuple[Applied, ...] = field(repr=False)
    gone: tuple[ResourceId, ...]
    by: str


def _apply(connection: sa.Connection, write: ResourcesApplied) -> None:
    for known_by in (*write.gone, *(each.id for each in write.resources)):
        connection.execute(
            sa.delete(_applied).where(
                _applied.c.kind == known_by.kind, _applied.c.namespace == known_by.namespace,
                _applied.c.name == known_by.name,
            )
        )  # fmt: skip
    for each in write.resources:
        connection.execute(
            sa.insert(_applied),
            {
                "kind": each.id.kind, "namespace": each.id.namespace, "name": each.id.name, "set": each.set,
                "file": each.file, "line": each.line, "text": each.text,
            },
        )  # fmt: skip


APPLIERS: Appliers = {ResourcesApplied: _apply}


async def load_applied(store: SqlStore) -> dict[ResourceId, Applied]:
    """Everything that is applied, in a stable order."""
    rows = await store.read(sa.select(_applied).order_by(_applied.c.kind, _applied.c.namespace, _applied.c.name))
    found = (Applied(ResourceId(r.kind, r.namespace, r.name), r.file, r.line, r.text, r.set) for r in rows)
    return {each.id: each for each in found}
