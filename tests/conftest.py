"""Fixtures of all tests, and how they run: `async def` tests each on a loop of their own, hypothesis without deadlines."""

from __future__ import annotations

import asyncio
import inspect
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests import postgres as postgres_server
from tests.ca_keys import skip_if_about_files
from tests.support import TestAuthority

# As the command line sets it; gRPC reads it when it starts.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A busy machine must not turn a property into a matter of time.
hypothesis.settings.register_profile(
    "handsel", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("handsel")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts real programs comes first: a file stays in one process, and the last of them must not be long."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


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


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Any:
    """Make what an `async def` fixture gives, on a loop of its own too."""
    if not inspect.iscoroutinefunction(fixturedef.func):
        return None
    arguments = {name: request.getfixturevalue(name) for name in fixturedef.argnames}
    made = asyncio.run(fixturedef.func(**arguments))
    fixturedef.cached_result = (made, fixturedef.cache_key(request), None)
    return made


def pytest_runtest_setup(item: pytest.Item) -> None:
    skip_if_about_files(item)


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
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS)
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL that runs as long as the tests, see `tests.postgres`."""
    with postgres_server.running() as server:
        yield server
