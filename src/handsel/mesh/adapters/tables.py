"""What agents reported, in a table: the places from which the mesh is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from handsel.link.messages import Report, WorkloadReport
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_places = sa.Table(
    "places",
    metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("report", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class PlacesReported:
    """A host's workloads are here now; what it no longer names is gone."""

    host: str
    workloads: tuple[WorkloadReport, ...] = field(repr=False)


def _report(connection: sa.Connection, write: PlacesReported) -> None:
    connection.execute(sa.delete(_places).where(_places.c.host == write.host))
    for workload in write.workloads:
        connection.execute(
            sa.insert(_places),
            {"host": write.host, "service": workload.service, "report": Report((workload,)).encode()},
        )


APPLIERS: Appliers = {PlacesReported: _report}


async def load_places(store: SqlStore) -> dict[str, dict[str, WorkloadReport]]:
    """Every reported workload by host and service."""
    places: dict[str, dict[str, WorkloadReport]] = {}
    for row in await store.read(sa.select(_places)):
        places.setdefault(row.host, {})[row.service] = Report.decode(row.report).workloads[0]
    return places
