"""The validation authority, put together: it hears of revocations, keeps the OCSP signers fresh and the lists new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from handsel.authority.adapters.crl_http import CrlDoor, CrlShelf
from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.ocsp_http import OcspDoor
from handsel.authority.adapters.responders import Responders
from handsel.authority.adapters.status_tables import StatusTables
from handsel.authority.model import Issuer, Issuers
from handsel.authority.status_places import EVERYTHING, Scope, StatusPlaces, list_name
from handsel.authority.va import lists
from handsel.authority.va.lists import MESH, CrlMade, Newest, Plan
from handsel.authority.va.status import StatusIndex
from handsel.door.asgi import Request, Response, Routes
from handsel.errors import Conflict, HandselError, Refused
from handsel.model.authority import CrlSettings
from handsel.pki.certificate import Certificate
from handsel.pki.revocation import signer_key_id
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry
from handsel.wiring.leader import Leader
from handsel.wiring.storage import CRLS, REVOCATIONS

_log = structlog.get_logger("handsel.validation")
_LONGEST_PAUSE_SECONDS, _SHORTEST_PAUSE_SECONDS = 20.0, 0.2


@dataclass(frozen=True)
class Authority:
    """What the validation authority asks the rest: the CAs that sign now, where their status is, and settings."""

    issuers: Callable[[], Issuers]
    places: Callable[[], StatusPlaces]
    settings: Callable[[], CrlSettings]


class Validation:
    """From `start` on it answers; `keep` runs beside it. `on_mesh_crl` is awaited when the identities' list is new."""

    def __init__(
        self, store: SqlStore, leader: Leader, authority: Authority, folder: Path, keys: Path,
        on_mesh_crl: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._store = store
        self._leader = leader
        self._authority = authority
        self._on_mesh_crl = on_mesh_crl
        self.index = StatusIndex()
        self.tables = StatusTables(store)
        self.shelf = CrlShelf(folder)
        self.responders = Responders(keys, store)
        self._ocsp = OcspDoor(self.index, self.tables, lambda: self.responders.signers)
        self._crls = CrlDoor(self.shelf, lambda: {each.place: each.certificate for each in self._signing()})
        self._reading = asyncio.Lock()
        self._building = asyncio.Lock()
        self._heard: asyncio.Event = asyncio.Event()
        self._signed_by: dict[str, bytes | None] = {}

    @property
    def mesh_crls(self) -> tuple[bytes, ...]:
        """The lists of revoked identities, which go to the agents: proxies refuse what a CA without a list signed."""
        gone = self._authority.issuers().removed
        lists = [made.der for (_, name), made in sorted(self.shelf.by_name.items()) if name == MESH]
        return tuple(each for each in lists if signer_key_id(each) not in gone)

    @property
    def withdrawn(self) -> Mapping[str, int]:
        """The identities of which a certificate was revoked, with the sequence of the last such revocation."""
        return self.index.withdrawn

    def is_revoked(self, certificate: Certificate) -> bool:
        """Whether a certificate of a CA that signs now, or did before it was replaced, is revoked."""
        key_id, serial = certificate.authority_key_id, certificate.parsed.serial_number
        issuers = self._authority.issuers()
        known = (*issuers.by_name.values(), *issuers.retiring)
        return any(self.index.find(each.name, serial) for each in known if each.certificate.key_id == key_id)

    def newest(self) -> list[CrlMade]:
        """The newest lists, by CA and name."""
        return [made for _, made in sorted(self.shelf.by_name.items())]

    def routes(self) -> Routes:
        """OCSP, lists, CA certificates."""
        return {**self._ocsp.routes(), **self._crls.routes()}

    async def answer(self, request: Request) -> Response:
        """An OCSP request in the body, answered: for agents, which staple it."""
        return await self._ocsp.post(request)

    async def start(self) -> None:
        """Read what is there, and make what is missing. What cannot be made now is tried again by `keep`."""
        await self._load_lists()
        for (issuer, name), made in self.shelf.by_name.items():
            if name == EVERYTHING.name:
                self._signed_by[issuer] = signer_key_id(made.der)
        self.index.add(await self.tables.revocations(0))
        self._store.changes.on(REVOCATIONS, self._heard.set)
        self._store.changes.on(CRLS, self._heard.set, elsewhere=True)
        await self._try(self._refresh_responders)
        await self._try(self.build)

    async def renew(self) -> None:
        """Other CAs sign from now on: make what they answer with, before anything of theirs is asked about."""
        await self._try(self._refresh_responders)
        await self._try(self.build)

    async def keep(self) -> None:
        """For ever: responders and lists, before any of them ends."""
        while True:
            settings = self._authority.settings()
            shortest = min(settings.lifetime, settings.delta_lifetime).total_seconds()
            await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, min(_LONGEST_PAUSE_SECONDS, shortest / 8)))
            await self._try(self._refresh_responders)
            await self._try(self.read)
            await self._try(self.build)

    async def listen(self) -> None:
        """For ever: take in what was revoked, here or by another server, at once."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            if not await self._try(self.read):
                await asyncio.sleep(_SHORTEST_PAUSE_SECONDS)
                self._heard.set()  # a revocation that was heard of is not forgotten

    async def read(self) -> None:
        """Take in the revocations that are new: from here on OCSP says so, and the agents are told."""
        async with self._reading:
            new = self.index.add(await self.tables.revocations(self.index.sequence))
            self._ocsp.forget((each.issuer, each.serial) for each in new)
        if not self._leader.is_leader:
            before = self.mesh_crls
            await self._load_lists()
            if self.mesh_crls != before:
                await self._on_mesh_crl()
        elif any(each.identity for each in new):
            await self._build_mesh_crls()

    async def build(self, *, force: bool = False) -> list[CrlMade]:
        """Sign the lists that are due, or all of them, and show them. Only the server that leads does."""
        made: list[CrlMade] = []
        if not self._leader.is_leader or self._store.read_only:
            return made
        async with self._building:
            for issuer in self._signing():
                try:
                    made += await self._build_of(issuer, force=force)
                except Refused as error:  # it has ended; the others go on
                    _log.warning("a CA signs no lists", ca=issuer.name, problem=str(error))
        if any(self._mesh_crl_is_stale(each) for each in self._of_mesh()):
            await self._build_mesh_crls()
        return made

    def _mesh_crl_is_stale(self, issuer: Issuer) -> bool:
        shown = self.shelf.by_name.get((issuer.place, MESH))
        return (
            shown is None
            or shown.sequence < self.index.last_identity
            or signer_key_id(shown.der) != issuer.certificate.key_id
        )

    async def _build_of(self, issuer: Issuer, *, force: bool) -> list[CrlMade]:
        made: list[CrlMade] = []
        for plan in self._plan(issuer, force=force):
            quick = issuer.key.is_quick and not plan.is_large
            made.append(plan.sign() if quick else await asyncio.to_thread(plan.sign))
        await self._publish(made, now())
        self._signed_by[issuer.place] = issuer.certificate.key_id
        return made

    def _signing(self) -> list[Issuer]:
        """Every CA that signs lists: the issuing ones, those that retire, and roots for their own."""
        issuers = self._authority.issuers()
        return [*issuers.by_name.values(), *issuers.retiring, *issuers.root_issuers]

    def _of_mesh(self) -> list[Issuer]:
        """The CA of the mesh, those before it whose leaves still live, and the one that will sign soon."""
        issuers = self._authority.issuers()
        others = (*issuers.retiring, *issuers.coming)
        return [issuers.mesh, *(each for each in others if each.name == issuers.mesh.name)]

    def _plan(self, issuer: Issuer, *, force: bool) -> list[Plan]:
        force = force or self._signed_by.get(issuer.place, issuer.certificate.key_id) != issuer.certificate.key_id
        found: list[Plan] = []
        for scope in self._scopes(issuer):
            newest = Newest(
                self.shelf.by_name.get((issuer.place, list_name(scope, delta=False))),
                self.shelf.by_name.get((issuer.place, list_name(scope, delta=True))),
            )
            found += lists.plan(
                issuer, scope, newest, self.index.held(issuer.place, scope), self._authority.places(),
                self._authority.settings(), sequence=self.index.sequence, now=now(), force=force,
            )  # fmt: skip
        return found

    def _scopes(self, issuer: Issuer) -> list[Scope]:
        """The scopes that certificates name as theirs, those of earlier settings too. The root signs CAs, so few."""
        if issuer.certificate == issuer.root:
            return [EVERYTHING]
        earlier = [_scope(name) for (of, name) in self.shelf.by_name if of == issuer.place]
        return list(dict.fromkeys([*self._authority.places().scopes(), *(each for each in earlier if each)]))

    async def _publish(self, made: list[CrlMade], moment: datetime) -> None:
        """Write down what was signed; then show it."""
        if not made:
            return
        named = ",".join(f"{each.name}#{each.number}" for each in made)
        line = entry("crl", moment, issuer=made[0].issuer, lists=named, entries=str(max(each.entries for each in made)))
        await self._store.commit((*made, line))
        await self._show(made)

    async def _show(self, made: list[CrlMade]) -> None:
        new = [each for each in made if self.shelf.put(each)]
        for each in new:
            scope = _scope(each.name)
            if scope is not None and each.name == scope.name:  # a complete one
                self.index.held(each.issuer, scope).listed(each.sequence, each.this_update)
        try:
            await asyncio.to_thread(self.shelf.write, new)
        except (OSError, HandselError) as error:
            _log.warning("lists are not written as files", problem=str(error))

    async def _build_mesh_crls(self) -> None:
        """One for each key of the mesh's CA that has leaves: proxies ask for one by each CA of a chain."""
        async with self._building:
            for issuer in self._of_mesh():
                await self._build_mesh_crl(issuer)
        await self._on_mesh_crl()

    async def _build_mesh_crl(self, issuer: Issuer) -> None:
        shown = self.shelf.by_name.get((issuer.place, MESH))
        moment = now()
        entries = self.index.identities(issuer.place, moment)
        number, sequence = (shown.number if shown else 0) + 1, self.index.sequence
        sign = partial(lists.mesh_crl, issuer, entries, number=number, sequence=sequence, now=moment)
        made = sign() if issuer.key.is_quick else await asyncio.to_thread(sign)
        await self._publish([made], moment)

    async def _refresh_responders(self) -> None:
        await self.responders.refresh(self._authority.issuers(), now())

    async def _load_lists(self) -> None:
        await self._show(await self.tables.lists())

    async def _try(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Do it; say so in the log if it does not work at the moment."""
        try:
            await act()
            return True
        except Conflict:
            await self._try(self._load_lists)  # another server was faster
        except HandselError as error:
            _log.warning("the status of certificates is not renewed at the moment", problem=str(error))
        except Exception:  # noqa: BLE001  # one mistake must not end what keeps all lists fresh
            _log.exception("the validation authority made a mistake")
        return False


def _scope(name: str) -> Scope | None:
    try:
        return Scope.parse(name.removesuffix("-delta"))
    except ValueError:
        return None
