from __future__ import annotations

import pytest

from handsel.store.adapters.sqlite import SqliteStore
from tests.authority.world import World


@pytest.fixture
def world(store: SqliteStore) -> World:
    return World(store)
