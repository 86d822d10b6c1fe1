"""An authority over a real store, with a clock that is handed in: what a story of `service` needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.authority import service
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.tables import Directory
from handsel.authority.attest.ticket import Replay, redeem
from handsel.authority.model import UNBOUND, Domain, Host, Issuer, Issuers, TicketBounds
from handsel.authority.profile import Lifetimes, profiles
from handsel.authority.service import Intent
from handsel.link import ticket as tickets
from handsel.link.transcript import Transcript
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import SpiffeId
from handsel.pki.secret import Secret
from handsel.store.adapters.sqlite import SqliteStore
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

SECRET = Secret(b"s" * 32)
SHOWN = hashlib.sha256(b"the server's certificate").digest()
WEB, EMOJI = (TRUST_DOMAIN.workload("default", name) for name in ("web", "emoji"))


class ReplayedError(Exception):
    """A ticket came again."""


@dataclass
class World:
    """The stories, with everything handed in. `now` moves only by hand."""

    store: SqliteStore
    issuer: Issuer = field(default_factory=lambda: TestAuthority.make().issuer)
    now: datetime = NOW
    lifetimes: Lifetimes = field(default_factory=Lifetimes)

    @property
    def directory(self) -> Directory:
        return Directory(self.store)

    @property
    def domain(self) -> Domain:
        return Domain(TRUST_DOMAIN, {"web": WEB, "emoji": EMOJI}, profiles(self.lifetimes))

    @property
    def handed_in(self) -> dict[str, object]:
        return {"domain": self.domain, "issuers": Issuers.only(self.issuer), "now": self.now}

    async def kinds(self) -> list[str]:
        """The kinds of the journal's entries, in order."""
        return [entry.split('"kind":"')[1].split('"')[0] for _, entry, _ in await self.store.journal_lines()]

    async def ticket(
        self, services: tuple[str, ...] = ("web",), *, ticket_id: str = "t1", bounds: TicketBounds = UNBOUND
    ) -> None:
        made = service.make_ticket(
            services, timedelta(minutes=10), SECRET, ticket_id=ticket_id, now=self.now, bounds=bounds
        )
        await self.store.commit(made.writes)

    async def intend_join(
        self,
        key: PrivateKey,
        *,
        ticket_id: str = "t1",
        secret: Secret = SECRET,
        seen: bytes = SHOWN,
        agent_id: str = "a1",
        identity: SpiffeId | None = None,
        request: bytes | None = None,
    ) -> Intent:
        """What a host that holds `secret` and saw a certificate sends, taken by the authority. Raises `ReplayedError`."""
        csr_der = csr.build(key, identity)
        theirs, ours = (self.transcript(ticket_id, each, csr_der) for each in (seen, SHOWN))
        found = redeem(
            await self.directory.ticket(ticket_id),
            await Registry(self.store).bounds(ticket_id),
            ours if request is None else self.transcript(ticket_id, SHOWN, request),
            tickets.prove(tickets.derive(secret), theirs),
            client="10.0.0.7",
            key_pin=key.pin(),
            now=self.now,
        )
        if isinstance(found, Replay):
            raise ReplayedError(found.ticket_id)
        return service.join(
            found, request or csr_der, agent_id=agent_id, host_name="host.example", recovery_csr=b"", **self.handed_in
        )

    def transcript(self, ticket_id: str, seen: bytes, csr_der: bytes) -> Transcript:
        return Transcript("ticket", ticket_id, "a challenge", seen, csr_der, host_name="host.example")

    async def issue(self, intent: Intent) -> tuple[Certificate, ...]:
        """The two commits, with the key used in between."""
        await self.store.commit(intent.writes)
        outcome = service.issue(intent, now=self.now)
        await self.store.commit(outcome.writes)
        return tuple(leaf.certificate for leaf in outcome.answer)

    async def host(self, *services: str) -> Host:
        """A host that has joined with these services."""
        agent_id = f"agent-{len(await self.directory.hosts())}"
        await self.ticket(services, ticket_id=agent_id)
        await self.issue(await self.intend_join(PrivateKey.generate(), ticket_id=agent_id, agent_id=agent_id))
        host = await self.directory.host(agent_id)
        assert host is not None
        return host
