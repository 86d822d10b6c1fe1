"""What joining leaves behind, in both databases: spent once, forgotten in time, standings that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from handsel.authority.adapters.attest_tables import Registry, spent_evidence
from handsel.authority.adapters.tables import Directory
from handsel.authority.attest.model import TicketUse
from handsel.authority.directory import (
    EvidenceSpent,
    HostJoined,
    RecoveryKeyKept,
    StandingSet,
    TicketBound,
    TicketUsed,
)
from handsel.authority.model import Host, Spent, Standing, TicketBounds
from handsel.errors import Conflict
from handsel.pki.keys import PrivateKey, public_der
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.storage import APPLIERS
from tests.postgres import new_database
from tests.support import NOW

HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request) -> Iterator[Callable[[], SqlStore]]:
    """Opens the store; within the test, since PostgreSQL's belongs to its loop."""
    made: list[SqlStore] = []
    if request.param == "sqlite":
        yield lambda: request.getfixturevalue("store")
        return
    database = new_database(request.getfixturevalue("postgres"))

    def make() -> SqlStore:
        made.append(PostgresStore(database, APPLIERS, log="one"))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_evidence_is_spent_once_and_forgotten_when_it_has_ended(opened):
    store = opened()
    first, second = Spent(b"1" * 32, NOW + HOUR), Spent(b"2" * 32, NOW + 3 * HOUR)
    await store.commit((EvidenceSpent(first, NOW),))
    with pytest.raises(Conflict, match="used before"):
        await store.commit((EvidenceSpent(first, NOW),))
    await store.commit((EvidenceSpent(second, NOW + 2 * HOUR),))
    assert [row.digest for row in await store.read(sa.select(spent_evidence.c.digest))] == [b"2" * 32]


async def test_a_standing_is_set_and_softened_only_by_hand(opened):
    store = opened()
    directory = Directory(store)
    await store.commit((HostJoined(Host("a1", "h", ("web",), NOW)),))
    assert (await directory.host("a1")).standing is Standing.GOOD
    for standing, only_from, expected in (
        (Standing.QUARANTINED, Standing.GOOD, Standing.QUARANTINED),
        (Standing.BANNED, None, Standing.BANNED),
        (Standing.QUARANTINED, Standing.GOOD, Standing.BANNED),
        (Standing.GOOD, None, Standing.GOOD),
    ):
        await store.commit((StandingSet("a1", standing, f"to {standing}", NOW, only_from),))
        (host,) = await directory.hosts()
        assert (host.standing, host) == (expected, await directory.host("a1"))
    assert host.cause == "to good"


async def test_what_is_kept_is_read_back(opened):
    store = opened()
    registry, key = Registry(store), PrivateKey.generate()
    bounds = TicketBounds("a.example", "10.0.0.0/8", "ab" * 32)
    await store.commit((TicketBound("t1", bounds), TicketUsed("t1", "a1"), RecoveryKeyKept("a1", key.public_der())))
    assert (await registry.bounds("t1"), await registry.bounds("t2")) == (bounds, TicketBounds())
    assert (await registry.use_of("t1"), await registry.use_of("t2")) == (TicketUse("t1", "a1"), None)
    assert public_der(await registry.recovery_key("a1")) == key.public_der()
    assert await registry.recovery_key("a2") is None
    assert await registry.certificate_ended("nobody") is None
