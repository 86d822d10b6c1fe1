from __future__ import annotations

import pytest

from handsel.store.adapters.postgres import PostgresStore
from tests.postgres import new_database
from tests.store.contract import APPLIERS, TOPICS, StoreContract


class TestPostgres(StoreContract):
    @pytest.fixture
    def words(self, postgres):
        store = PostgresStore(new_database(postgres), APPLIERS, log="one", topics=TOPICS)
        yield store
        store.close()
