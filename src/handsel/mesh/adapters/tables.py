"""What agents reported, in a table: the places from which the mesh is compiled."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from handsel.link.report import Report, WorkloadReport
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_places = sa.Table(
    "places",
    metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("report", sa.LargeBinary, nullable=False),
)

_withdrawn = sa.Table(
    "withdrawn",
    metadata,
    sa.Column("identity", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class PlacesReported:
    """A host's workloads are here now; what it no longer names is gone."""

    host: str
    workloads: tuple[WorkloadReport, ...] = field(repr=False)


@dataclass(frozen=True)
class Withdrawn:
    """A certificate of an identity was revoked; `number` grows with each revocation."""

    identity: str
    number: int


def _report(connection: sa.Connection, write: PlacesReported) -> None:
    connection.execute(sa.delete(_places).where(_places.c.host == write.host))
    for workload in write.workloads:
        connection.execute(
            sa.insert(_places),
            {"host": write.host, "service": workload.service, "report": Report((workload,)).encode()},
        )


def _withdraw(connection: sa.Connection, write: Withdrawn) -> None:
    connection.execute(sa.delete(_withdrawn).where(_withdrawn.c.identity == write.identity))
    connection.execute(sa.insert(_withdrawn), {"identity": write.identity, "number": write.number})


APPLIERS: Appliers = {PlacesReported: _report, Withdrawn: _withdraw}


async def load_places(store: SqlStore) -> dict[str, dict[str, WorkloadReport]]:
    """Every reported workload by host and service."""
    places: dict[str, dict[str, WorkloadReport]] = {}
    for row in await store.read(sa.select(_places)):
        places.setdefault(row.host, {})[row.service] = Report.decode(row.report).workloads[0]
    return places


async def load_withdrawn(store: SqlStore) -> dict[str, int]:
    """The identities of which certificates were revoked, each with the number of the last revocation."""
    return {row.identity: row.number for row in await store.read(sa.select(_withdrawn))}
