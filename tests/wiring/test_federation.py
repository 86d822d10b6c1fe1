"""Bundles of a server: kept over restarts and while the other side is away, told to whom they concern, never merged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.authority.adapters import bundle_http
from handsel.authority.federation import BundleKept
from handsel.authority.spiffe_bundle import SpiffeBundle
from handsel.errors import Refused, Unreachable, UsageError
from handsel.pki.certificate import to_pem
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.federation import Around, Bundles
from handsel.wiring.leader import Leader
from handsel.wiring.storage import APPLIERS, TOPICS
from tests.support import TestAuthority, read_mesh, tls_door, until

OTHER = TrustDomain("other.internal")
OURS, THEIRS = TestAuthority.make(datetime.now(UTC)), TestAuthority.make(datetime.now(UTC), OTHER)
NEXT = TestAuthority.make(datetime.now(UTC), OTHER)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store that says what was written, as a server's does."""
    store = SqliteStore(tmp_path / "handsel.db", APPLIERS, topics=TOPICS)
    yield store
    store.close()


class Other:
    """Their server: what it shows can be another thing at any moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.shown = self.bundle(5)

    @staticmethod
    def bundle(sequence: int, *others: TestAuthority) -> SpiffeBundle:
        return SpiffeBundle(OTHER, (THEIRS.issuer.root, *(each.issuer.root for each in others)), (), sequence)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        routes = bundle_http.routes(lambda: BundleKept(self.shown, datetime.now(UTC)))
        async with tls_door(self.folder, THEIRS, routes) as (self.port, _):
            yield


class Server:
    """Our bundles over a store, and how often hosts were told."""

    def __init__(self, store, other: Other) -> None:
        roots = other.folder / "first.pem"
        roots.write_bytes(to_pem((THEIRS.issuer.root,)))
        self.mesh = read_mesh(
            f"""
trust_domain: test.internal
services: {{web: {{}}, alone: {{federates_with: []}}}}
federation:
  {OTHER}:
    url: https://localhost:{other.port}{bundle_http.PATH}
    profile: https_spiffe
    endpoint_id: spiffe://{OTHER}/handsel/server
    bundle: {roots}
"""
        )
        self.told = 0
        self.bundles = Bundles(store, Leader(store), Around(lambda: self.mesh, lambda: (OURS.issuer.root,), self._tell))

    async def _tell(self) -> None:
        self.told += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bundles]:
        await self.bundles.start()
        tasks = [asyncio.create_task(each) for each in (self.bundles.listen(), self.bundles.keep())]
        try:
            yield self.bundles
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def theirs(self):
        """What hosts are told of them."""
        found = self.bundles.told()[1]
        return found[0] if found else None


async def test_it_is_fetched_by_itself_told_to_whom_it_concerns_and_kept_over_a_restart(store, tmp_path):
    other = Other(tmp_path)
    async with other.open():
        first = Server(store, other)
        async with first.running():
            await until(lambda: first.theirs is not None)
            assert first.theirs.x509_authorities == (THEIRS.issuer.root,)
            assert first.theirs.services == ("web",)
            assert first.bundles.own.bundle.x509 == (OURS.issuer.root,)  # two bundles, never one
            assert first.told
    again = Server(store, other)  # and they are away
    async with again.running() as bundles:
        assert again.theirs.x509_authorities == (THEIRS.issuer.root,)
        with pytest.raises(Unreachable):
            await bundles.refresh(str(OTHER))
        shown = await bundles.shown(str(OTHER))
        assert (shown["sequence"], "does not answer" in shown["problem"]) == (5, True)
        assert again.theirs is not None


async def test_a_change_is_told_an_older_one_refused_and_taken_only_when_we_begin_anew(store, tmp_path):
    other = Other(tmp_path)
    async with other.open():
        server = Server(store, other)
        async with server.running() as bundles:
            await until(lambda: server.theirs is not None)
            other.shown = other.bundle(6, NEXT)
            assert (await bundles.refresh(str(OTHER)))["sequence"] == 6
            await until(lambda: len(server.theirs.x509_authorities) == 2)
            told = server.told
            await bundles.refresh(str(OTHER))
            await asyncio.sleep(0.1)
            assert server.told == told  # nothing changed
            other.shown = other.bundle(2)
            with pytest.raises(Refused, match="older"):
                await bundles.refresh(str(OTHER))
            assert len(server.theirs.x509_authorities) == 2
            assert (await bundles.refresh(str(OTHER), anew=True))["problem"] == ""
            await until(lambda: len(server.theirs.x509_authorities) == 1)


async def test_a_trust_domain_that_took_everything_back_proves_nothing_until_we_begin_anew(store, tmp_path):
    other = Other(tmp_path)
    async with other.open():
        server = Server(store, other)
        async with server.running() as bundles:
            await until(lambda: server.theirs is not None)
            other.shown = SpiffeBundle(OTHER, (), (), 6)
            await bundles.refresh(str(OTHER))
            await until(lambda: server.theirs.x509_authorities == ())
            other.shown = other.bundle(7)
            with pytest.raises(Refused, match="has no CA"):
                await bundles.refresh(str(OTHER))
            await bundles.refresh(str(OTHER), anew=True)
            await until(lambda: server.theirs.x509_authorities == (THEIRS.issuer.root,))


async def test_nobody_else_is_asked_for(store, tmp_path):
    other = Other(tmp_path)
    async with other.open():
        server = Server(store, other)
        await server.bundles.start()
        with pytest.raises(UsageError, match="does not federate"):
            await server.bundles.refresh("third.internal")
        assert (await server.bundles.refresh(str(OTHER)))["sequence"] == 5
