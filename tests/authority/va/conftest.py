from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.authority.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    yield World(store)
    store.close()
