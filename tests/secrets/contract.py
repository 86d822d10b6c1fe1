"""What the tables of secrets promise, over every store. `test_tables` runs it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handsel.errors import Conflict
from handsel.secrets.adapters.tables import Tables
from handsel.secrets.model import (
    Deleted,
    Delivered,
    Entry,
    Grant,
    Granted,
    GrantTaken,
    KeyActivated,
    KeyForgotten,
    KeyRecord,
    Kind,
    Rewrapped,
    Sealed,
    VersionPut,
)
from handsel.store.journal import entry
from tests.secrets.things import DAY, version
from tests.support import NOW

KEY, OTHER = (KeyRecord(name, "file", NOW, active=True) for name in ("k1", "k2"))


def put(name: str = "db", number: int = 1, keep: int = 10, kek: str = "k1") -> VersionPut:
    made = Entry(name, Kind.OPAQUE, {"team": "shop"}, keep, number, NOW, "local")
    return VersionPut(made, version(name, number), Sealed(kek, b"wrapped", b"nonce", f"sealed {number}".encode()))


class TablesContract:
    async def test_what_was_put_is_read_back(self, secrets):
        one = replace(put(), version=version(expires=NOW + DAY))
        await secrets.commit((KeyActivated(KEY, None), one))
        tables = Tables(secrets)
        assert await tables.entries() == [one.entry]
        assert await tables.entry("db") == one.entry
        assert await tables.entry("dc") is None
        assert await tables.newest() == [one.version]
        assert await tables.sealed(one.version.version_id) == (one.version, one.sealed)
        assert await tables.sealed("nothing") is None

    async def test_only_the_next_number_is_put_and_old_versions_go(self, secrets):
        await secrets.commit((KeyActivated(KEY, None), put(keep=2)))
        for wrong in (put(number=1), put(number=3), put("dc", number=2)):
            with pytest.raises(Conflict):
                await secrets.commit((wrong,))
        await secrets.commit((put(number=2, keep=2),))
        await secrets.commit((put(number=3, keep=2),))
        assert [each.number for each in await Tables(secrets).versions("db")] == [3, 2]
        assert [each.number for each in await Tables(secrets).newest()] == [3]

    async def test_nothing_is_sealed_under_a_key_that_is_not_active(self, secrets):
        with pytest.raises(Conflict):
            await secrets.commit((put(),))
        await secrets.commit((KeyActivated(KEY, None), put()))
        await secrets.commit((KeyActivated(OTHER, "k1"),))
        with pytest.raises(Conflict):
            await secrets.commit((put(number=2),))
        await secrets.commit((put(number=2, kek="k2"),))

    async def test_one_key_is_activated_at_a_time(self, secrets):
        await secrets.commit((KeyActivated(KEY, None),))
        with pytest.raises(Conflict):
            await secrets.commit((KeyActivated(OTHER, None),))
        await secrets.commit((KeyActivated(OTHER, "k1"),))
        assert [each.key_id for each in await Tables(secrets).keys() if each.active] == ["k2"]

    async def test_a_key_is_forgotten_when_nothing_is_sealed_under_it(self, secrets):
        await secrets.commit((KeyActivated(KEY, None), put(), put("dc")))
        await secrets.commit((KeyActivated(OTHER, "k1"),))
        for early in (KeyForgotten("k1"), KeyForgotten("k2")):
            with pytest.raises(Conflict):
                await secrets.commit((early,))
        found = await Tables(secrets).wrapped_by_others("k2", 10)
        assert [(each.name, kek, wrapped) for each, kek, wrapped in found] == [
            ("db", "k1", b"wrapped"), ("dc", "k1", b"wrapped"),
        ]  # fmt: skip
        await secrets.commit(tuple(Rewrapped(each.version_id, "k1", "k2", b"again") for each, _, _ in found))
        with pytest.raises(Conflict):
            await secrets.commit((Rewrapped("db-1", "k1", "k2", b"twice"),))
        assert await Tables(secrets).wrapped_by_others("k2", 10) == []
        await secrets.commit((KeyForgotten("k1"),))
        assert [each.key_id for each in await Tables(secrets).keys()] == ["k2"]

    async def test_a_grant_is_there_until_it_is_taken(self, secrets):
        grant = Grant("db", "web", NOW, "local")
        await secrets.commit((Granted(grant), Granted(replace(grant, by="somebody"))))
        assert await Tables(secrets).grants() == [replace(grant, by="somebody")]
        await secrets.commit((GrantTaken("db", "web"),))
        assert await Tables(secrets).grants() == []
        with pytest.raises(Conflict):
            await secrets.commit((GrantTaken("db", "web"),))

    async def test_a_delivery_is_written_once_for_host_service_and_version(self, secrets):
        await secrets.commit((KeyActivated(KEY, None), put()))
        one = Delivered("a1", "web", "db-1", NOW)
        await secrets.commit((one,))
        with pytest.raises(Conflict):
            await secrets.commit((one,))
        await secrets.commit((replace(one, service="other"), replace(one, host="a2")))
        assert await Tables(secrets).was_delivered("a1", "web", "db-1")
        assert not await Tables(secrets).was_delivered("a2", "other", "db-1")

    async def test_what_was_deleted_leaves_nothing_and_its_name_may_come_again(self, secrets):
        await secrets.commit((KeyActivated(KEY, None), put(), put(number=2), Delivered("a1", "web", "db-1", NOW)))
        await secrets.commit((Deleted("db"),))
        assert await Tables(secrets).entries() == []
        assert await Tables(secrets).versions("db") == []
        assert not await Tables(secrets).was_delivered("a1", "web", "db-1")
        with pytest.raises(Conflict):
            await secrets.commit((Deleted("db"),))
        await secrets.commit((put(),))

    async def test_the_journal_tells_of_a_secret_and_its_unit_only(self, secrets):
        lines = [
            entry("secret put", NOW, secret="g/a", by="x"), entry("secret granted", NOW + DAY, secret="g", by="x"),
            entry("secret put", NOW, secret="g/ab", by="x"), entry("secret put", NOW, secret="g_a", by="x"),
            entry("certificate", NOW, secret="g/a"), entry("secret put", NOW, secret="b", by='"secret":"g/a"'),
        ]  # fmt: skip
        await secrets.commit(tuple(lines))
        found = await Tables(secrets).accesses("g/a", "g", 10)
        assert [(each["kind"], each["fields"]["secret"]) for each in found] == [
            ("secret put", "g/a"), ("secret granted", "g"),
        ]  # fmt: skip
        assert len(await Tables(secrets).accesses("g/a", "g", 1)) == 1
