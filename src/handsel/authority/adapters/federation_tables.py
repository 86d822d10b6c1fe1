"""Bundles in tables: our own and those of other trust domains, each a row of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from handsel.authority import spiffe_bundle
from handsel.authority.federation import BundleKept, BundleLooked
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore, metadata
from handsel.store.outcome import Appliers

_bundles = sa.Table(
    "spiffe_bundles",
    metadata,
    sa.Column("trust_domain", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
)
_looks = sa.Table(
    "spiffe_bundle_looks",
    metadata,
    sa.Column("trust_domain", sa.Text, primary_key=True),
    sa.Column("tried", sa.Float, nullable=False),
    sa.Column("found", sa.Float),
    sa.Column("problem", sa.Text, nullable=False),
)


def _keep(connection: sa.Connection, write: BundleKept) -> None:
    domain = str(write.bundle.trust_domain)
    connection.execute(sa.delete(_bundles).where(_bundles.c.trust_domain == domain))
    values = {"trust_domain": domain, "body": write.body, "since": write.since.timestamp()}
    connection.execute(sa.insert(_bundles), values)


def _look(connection: sa.Connection, write: BundleLooked) -> None:
    domain = str(write.trust_domain)
    connection.execute(sa.delete(_looks).where(_looks.c.trust_domain == domain))
    found = write.found.timestamp() if write.found else None
    values = {"trust_domain": domain, "tried": write.tried.timestamp(), "found": found, "problem": write.problem}
    connection.execute(sa.insert(_looks), values)


APPLIERS: Appliers = {BundleKept: _keep, BundleLooked: _look}


class BundleTables:
    """The bundles, read back."""

    def __init__(self, store: SqlStore) -> None:
        self._read = store.read

    async def bundles(self) -> dict[TrustDomain, BundleKept]:
        """Every bundle that is kept, by its trust domain."""
        found = {}
        for row in await self._read(sa.select(_bundles)):
            domain = TrustDomain(row.trust_domain)
            found[domain] = BundleKept(spiffe_bundle.read(row.body, domain), datetime.fromtimestamp(row.since, UTC))
        return found

    async def looks(self) -> dict[TrustDomain, BundleLooked]:
        """The last look at each other trust domain."""
        found = {}
        for row in await self._read(sa.select(_looks)):
            domain = TrustDomain(row.trust_domain)
            last = datetime.fromtimestamp(row.found, UTC) if row.found is not None else None
            found[domain] = BundleLooked(domain, datetime.fromtimestamp(row.tried, UTC), last, row.problem)
        return found
