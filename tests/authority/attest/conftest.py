from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.authority.attest.world import DoorWorld


@pytest.fixture
def doors(store, living_authority) -> DoorWorld:
    return DoorWorld(store, living_authority)


@pytest.fixture
def doors_with(store, living_authority) -> Callable[..., DoorWorld]:
    """Doors with rules of registration."""
    return lambda *rules: DoorWorld(store, living_authority, *rules)
