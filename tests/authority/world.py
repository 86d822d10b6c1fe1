"""An authority over a real store, with a clock that is handed in: what a story of `service` needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.authority import service
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Host, Issuer, Lifetimes
from handsel.authority.service import Intent
from handsel.link import ticket as tickets
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
        return Domain(TRUST_DOMAIN, {"web": WEB, "emoji": EMOJI}, self.lifetimes)

    @property
    def handed_in(self) -> dict[str, object]:
        return {"domain": self.domain, "issuer": self.issuer, "now": self.now}

    def kinds(self) -> list[str]:
        """The kinds of the journal's entries, in order."""
        return [entry.split('"kind":"')[1].split('"')[0] for _, entry, _ in self.store.journal_lines()]

    async def ticket(self, services: tuple[str, ...] = ("web",), *, ticket_id: str = "t1") -> None:
        made = service.make_ticket(services, timedelta(minutes=10), SECRET, ticket_id=ticket_id, now=self.now)
        await self.store.commit(made.writes)

    def intend_join(
        self,
        key: PrivateKey,
        *,
        ticket_id: str = "t1",
        secret: Secret = SECRET,
        seen: bytes = SHOWN,
        agent_id: str = "a1",
        identity: SpiffeId | None = None,
    ) -> Intent:
        """What a host that holds `secret` and saw a certificate sends, taken by the authority."""
        request = csr.build(key, identity)
        proof = tickets.prove(tickets.derive(secret), request, seen)
        return service.join(
            self.directory.ticket(ticket_id), request, proof, agent_id=agent_id, host_name="host.example",
            server_certificates=(SHOWN,), **self.handed_in,
        )  # fmt: skip

    async def issue(self, intent: Intent) -> tuple[Certificate, ...]:
        """The two commits, with the key used in between."""
        await self.store.commit(intent.writes)
        outcome = service.issue(intent, self.issuer, now=self.now)
        await self.store.commit(outcome.writes)
        return outcome.answer

    async def host(self, *services: str) -> Host:
        """A host that has joined with these services."""
        agent_id = f"agent-{len(self.directory.hosts())}"
        await self.ticket(services, ticket_id=agent_id)
        await self.issue(self.intend_join(PrivateKey.generate(), ticket_id=agent_id, agent_id=agent_id))
        host = self.directory.host(agent_id)
        assert host is not None
        return host
