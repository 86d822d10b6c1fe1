"""Fixtures of all tests, and how they run: `async def` tests each on a loop of their own, hypothesis without deadlines."""

from __future__ import annotations

import asyncio
import inspect
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest

from handsel.authority.adapters import tables as authority_tables
from handsel.mesh.adapters import publications
from handsel.mesh.adapters import tables as mesh_tables
from handsel.store.adapters.sqlite import SqliteStore
from tests.support import TestAuthority

# As the command line sets it; gRPC reads it when it starts.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A busy machine must not turn a property into a matter of time.
hypothesis.settings.register_profile(
    "handsel", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("handsel")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="Write the golden files anew and delete the stale ones.")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


@pytest.fixture(scope="session")
def authority() -> TestAuthority:
    """An authority of `test.internal`, made at `NOW`."""
    return TestAuthority.make()


@pytest.fixture(scope="session")
def living_authority() -> TestAuthority:
    """The same, made just now: what real TLS checks, it checks by the clock of this machine."""
    return TestAuthority.make(datetime.now(UTC))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder for sockets, whose paths end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="hs", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with every table of the server, on disk."""
    appliers = {**authority_tables.APPLIERS, **publications.APPLIERS, **mesh_tables.APPLIERS}
    store = SqliteStore(tmp_path / "handsel.db", appliers)
    yield store
    store.close()
