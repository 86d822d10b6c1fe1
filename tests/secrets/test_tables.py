from __future__ import annotations

import pytest

from handsel.store.adapters.memory import MemoryStore
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.postgres import new_database
from tests.secrets.contract import TablesContract


class TestMemory(TablesContract):
    @pytest.fixture
    def secrets(self):
        store = MemoryStore(APPLIERS)
        yield store
        store.close()


class TestSqlite(TablesContract):
    @pytest.fixture
    def secrets(self, tmp_path):
        store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
        yield store
        store.close()


class TestPostgres(TablesContract):
    @pytest.fixture
    def secrets(self, postgres):
        store = PostgresStore(new_database(postgres), APPLIERS, log="one")
        yield store
        store.close()
