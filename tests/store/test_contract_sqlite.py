from __future__ import annotations

import pytest

from handsel.store.adapters.sqlite import SqliteStore
from tests.store.contract import APPLIERS, TOPICS, StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture
    def words(self, tmp_path):
        store = SqliteStore(tmp_path / "handsel.db", APPLIERS, topics=TOPICS)
        yield store
        store.close()
