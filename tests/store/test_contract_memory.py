from __future__ import annotations

import pytest

from handsel.store.adapters.memory import MemoryStore
from tests.store.contract import APPLIERS, TOPICS, StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def words(self):
        store = MemoryStore(APPLIERS, topics=TOPICS)
        yield store
        store.close()
