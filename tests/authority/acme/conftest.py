from __future__ import annotations

import pytest

from handsel.store.adapters.sqlite import SqliteStore
from tests.authority.acme.world import AcmeWorld
from tests.support import TestAuthority


@pytest.fixture
def acme(store: SqliteStore, living_authority: TestAuthority) -> AcmeWorld:
    """An ACME door over a store of its own."""
    return AcmeWorld(store, living_authority)
