"""Bundles: our own is kept as roots and keys are, those of other trust domains are fetched, and hosts are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from handsel.authority import federation
from handsel.authority.adapters.federation_http import fetch, first_authorities
from handsel.authority.adapters.federation_tables import BundleTables
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.jwt_tables import JwtKeys
from handsel.authority.federation import BundleKept, BundleLooked
from handsel.errors import HandselError, UsageError
from handsel.link.messages import FederatedBundle
from handsel.model.federation import EndpointProfile, Federated
from handsel.model.graph import Mesh
from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore
from handsel.wiring.leader import Leader
from handsel.wiring.storage import BUNDLES, JWT_KEYS

_log = structlog.get_logger("handsel.server")
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 30.0


@dataclass(frozen=True)
class Around:
    """What bundles follow from, and whom they are told to: `told` is called whenever one is another than before."""

    mesh: Callable[[], Mesh]
    roots: Callable[[], Sequence[Certificate]]
    told: Callable[[], Awaitable[None]]


class Bundles:
    """The bundles that this server knows. One server at a time, the one that leads, makes ours and fetches others."""

    def __init__(self, store: SqlStore, leader: Leader, around: Around) -> None:
        self._store = store
        self._leader = leader
        self._around = around
        self._tables = BundleTables(store)
        self._jwt_keys = JwtKeys(store)
        self._kept: dict[TrustDomain, BundleKept] = {}
        self._moving = asyncio.Lock()
        self._poked, self._heard = asyncio.Event(), asyncio.Event()
        store.changes.on(JWT_KEYS, self._poked.set)
        store.changes.on(BUNDLES, self._heard.set)

    async def start(self) -> None:
        """Read what is kept; the first server of a database makes its bundle."""
        self._kept = await self._tables.bundles()
        if not self._store.read_only and (self._leader.is_leader or self.own is None):
            await self.renew_own()

    @property
    def own(self) -> BundleKept | None:
        """The bundle of our own trust domain."""
        return self._kept.get(self._around.mesh().trust_domain)

    def poke(self) -> None:
        """The roots may be others now."""
        self._poked.set()

    def told(self) -> tuple[bytes, tuple[FederatedBundle, ...]]:
        """What hosts are told: our keys for JWT-SVIDs, and the bundles of others with who federates with them."""
        mesh, own = self._around.mesh(), self.own
        others = [
            FederatedBundle(each.trust_domain, kept.bundle.x509, kept.bundle.jwks, mesh.federating_with(name))
            for name, each in mesh.federation.items()
            if (kept := self._kept.get(each.trust_domain)) is not None
        ]
        return own.bundle.jwks if own else b"", tuple(others)

    async def listen(self) -> None:
        """For ever: what any server wrote is known here, and told to hosts."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            try:
                self._kept = await self._tables.bundles()
                await self._around.told()
            except HandselError as error:
                _log.warning("bundles are not told yet", problem=str(error))
                await asyncio.sleep(1)
                self._heard.set()

    async def keep(self) -> None:
        """For ever, on the leader: our bundle as it should be, and the others' when it is time to look."""
        while True:
            await self._leader.leading.wait()
            self._poked.clear()
            seconds = 1.0
            try:
                await self.renew_own()
                seconds = await self._look()
            except HandselError as error:
                _log.warning("bundles cannot be kept", problem=str(error))
            except Exception:  # noqa: BLE001  # one mistake must not end all of it
                _log.exception("a bundle met a mistake of ours")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._poked.wait()

    async def renew_own(self) -> None:
        """Our own bundle, with another sequence when it is another one."""
        async with self._moving:
            mesh, domain = self._around.mesh(), self._around.mesh().trust_domain
            kept = (await self._tables.bundles()).get(domain)
            outcome = federation.keep_own(
                kept, domain, self._around.roots(), await self._jwt_keys.all(), mesh.spiffe.refresh_hint, now()
            )
            await self._store.commit(outcome.writes)
            self._kept = {**self._kept, domain: outcome.answer}

    async def refresh(self, name: str, *, anew: bool = False) -> dict[str, Any]:
        """Look now. `anew`: forget the last bundle, and begin with the file for the first contact.

        Raises `UsageError`, and what `fetch` raises.
        """
        federated = self._federated(name)
        await self._fetch(federated, anew=anew)
        return await self.shown(name)

    async def shown(self, name: str) -> dict[str, Any]:
        """A federated trust domain, with its bundle. Raises `UsageError`."""
        federated = self._federated(name)
        kept = (await self._tables.bundles()).get(federated.trust_domain)
        looked = (await self._tables.looks()).get(federated.trust_domain)
        return _describe(federated, kept, looked, self._around.mesh().federating_with(name))

    async def all_shown(self) -> list[dict[str, Any]]:
        return [await self.shown(name) for name in self._around.mesh().federation]

    def _federated(self, name: str) -> Federated:
        found = self._around.mesh().federation.get(name)
        if found is None:
            known = ", ".join(self._around.mesh().federation) or "none"
            raise UsageError(f"this mesh does not federate with {name[:255]!r}", next_step=f"known: {known}")
        return found

    async def _look(self) -> float:
        """Fetch what is due, all at once; how many seconds from then until the next is."""
        every = list(self._around.mesh().federation.values())
        due = [each for each, seconds in zip(every, await self._waits(every), strict=True) if seconds <= 0]
        await asyncio.gather(*(self._try(each) for each in due))
        return min([max(seconds, _SHORTEST_WAIT) for seconds in await self._waits(every)] + [_LONGEST_WAIT])

    async def _waits(self, every: Sequence[Federated]) -> list[float]:
        """In how many seconds each is to be looked for."""
        kept, looks = await self._tables.bundles(), await self._tables.looks()
        moments = [federation.due(kept.get(each.trust_domain), looks.get(each.trust_domain)) for each in every]
        return [(moment - now()).total_seconds() if moment else 0.0 for moment in moments]

    async def _try(self, federated: Federated) -> None:
        with contextlib.suppress(HandselError):  # it is written down, and logged when it is news
            await self._fetch(federated)

    async def _fetch(self, federated: Federated, *, anew: bool = False) -> None:
        domain = federated.trust_domain
        kept = None if anew else (await self._tables.bundles()).get(domain)
        looked = (await self._tables.looks()).get(domain)
        try:
            content = await fetch(federated, _authorities(federated, kept))
            kept = None if anew else (await self._tables.bundles()).get(domain)  # another look may have been quicker
            outcome = federation.take(content, federated, kept, now())
        except HandselError as error:
            if looked is None or looked.problem != str(error):
                _log.warning("a federated bundle cannot be had", trust_domain=str(domain), problem=str(error))
            await self._store.commit((federation.failed(domain, looked, str(error), now()),))
            raise
        await self._store.commit(outcome.writes)


def _authorities(federated: Federated, kept: BundleKept | None) -> Sequence[Certificate]:
    """By whom the server of a bundle is known: the last bundle, and before there is one the file."""
    if federated.profile is EndpointProfile.WEB:
        return ()
    return kept.bundle.x509 if kept is not None else first_authorities(federated)


def _describe(
    federated: Federated, kept: BundleKept | None, looked: BundleLooked | None, services: Sequence[str]
) -> dict[str, Any]:
    bundle = kept.bundle if kept else None
    hint = bundle.refresh_hint if bundle else None
    return {
        "trustDomain": str(federated.trust_domain),
        "url": federated.url,
        "profile": str(federated.profile),
        "endpointId": str(federated.endpoint_id) if federated.endpoint_id else None,
        "services": list(services),
        "sequence": bundle.sequence if bundle else None,
        "refreshHint": int(hint.total_seconds()) if hint is not None else None,
        "since": kept.since.isoformat() if kept else None,
        "tried": looked.tried.isoformat() if looked else None,
        "found": looked.found.isoformat() if looked and looked.found else None,
        "problem": looked.problem if looked else "",
        "x509Authorities": [
            {"subject": each.subject, "sha256": each.fingerprint, "notAfter": each.not_after.isoformat()}
            for each in (bundle.x509 if bundle else ())
        ],
        "jwtAuthorities": [each.kid for each in (bundle.jwt if bundle else ())],
    }
