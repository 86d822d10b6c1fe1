"""The doors of joining and of agents over a real store, and a host that speaks to them as `handsel join` does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from handsel.agent import join
from handsel.agent.join import Prove, Sent, Way
from handsel.authority import service
from handsel.authority.adapters.agents_http import AgentsDoor
from handsel.authority.adapters.attest_http import JoinDoor
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.jwks import TrustSources
from handsel.authority.adapters.nonces import MemoryNonces
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import UNBOUND, Domain, Host, TicketBounds
from handsel.authority.profile import Lifetimes, profiles
from handsel.door.asgi import Request
from handsel.link.joining import Challenge, JoinRequest, JoinResponse
from handsel.link.messages import PREFIX, VERSION, VERSION_HEADER
from handsel.link.ticket import TicketText
from handsel.model.authority import Authority, Registration
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.store.adapters.sqlite import SqliteStore
from tests.support import TRUST_DOMAIN, TestAuthority

SECRET = Secret(b"s" * 16)
SHOWN, BEFORE = (hashlib.sha256(text).digest() for text in (b"shown", b"shown before"))
WEB, EMOJI = (TRUST_DOMAIN.workload("default", name) for name in ("web", "emoji"))
TICKET_ID = "a1b2c3d4e5f60718"
URL = "https://127.0.0.1:1"


@dataclass(frozen=True)
class Joined:
    """A host that has joined: what it sent, what came back, and its keys."""

    sent: Sent
    answer: JoinResponse
    key: PrivateKey
    recovery_key: PrivateKey


class DoorWorld:
    """Doors without a network: requests are handed to the handlers."""

    def __init__(self, store: SqliteStore, authority: TestAuthority, *rules: Registration) -> None:
        self.store = store
        self.authority = authority
        self.settings = Authority(registration=rules)
        self.directory = Directory(store)
        self.registry = Registry(store)
        self.joined: list[Host] = []
        issuing = Issuing(store, lambda: authority.issuers)
        self.revoked: set[str] = set()
        self.agents = AgentsDoor(issuing, self.directory, self.domain, lambda each: each.serial in self.revoked)
        self.joining = JoinDoor(
            store, issuing, self.directory, self.registry, MemoryNonces(), TrustSources(), self.domain,
            lambda: self.settings, lambda: (SHOWN, BEFORE), self.joined.append,
        )  # fmt: skip

    def domain(self) -> Domain:
        return Domain(TRUST_DOMAIN, {"web": WEB, "emoji": EMOJI}, profiles(Lifetimes()))

    async def call(
        self, name: str, body: bytes = b"", peer: Certificate | None = None, version: str | None = VERSION, *,
        method: str = "POST", client: str = "10.0.0.7",
    ) -> Any:  # fmt: skip
        headers = {VERSION_HEADER: version} if version is not None else {}
        handler = {**self.agents.routes(), **self.joining.routes()}[method, f"{PREFIX}/{name}"]
        peer_der = peer.der if peer else None
        return await handler(Request(method, f"{PREFIX}/{name}", {}, headers, body, peer_der, client=client))

    async def challenge(self) -> str:
        return Challenge.decode((await self.call("challenge", method="GET")).body).challenge

    async def ticket(self, *services: str, bounds: TicketBounds = UNBOUND) -> Way:
        """A ticket, as the way of a host that holds it."""
        made = service.make_ticket(
            services, timedelta(minutes=10), SECRET, ticket_id=TICKET_ID, now=datetime.now(UTC), bounds=bounds
        )
        await self.store.commit(made.writes)
        return self.ticket_way()

    def ticket_way(self, secret: Secret = SECRET) -> Way:
        return Way.by_ticket(TicketText(URL, str(TRUST_DOMAIN), TICKET_ID, secret, (self.authority.issuer.root.pin,)))

    def way(self, attestor: str, prove: Prove) -> Way:
        return Way(URL, TRUST_DOMAIN, attestor, prove, roots=(self.authority.issuer.root,))

    async def join(
        self, way: Way, key: PrivateKey | None = None, *, seen: bytes = SHOWN, host_name: str = "host.example",
        client: str = "10.0.0.7", challenge: str | None = None,
        change: Callable[[JoinRequest], JoinRequest] = lambda request: request,
    ) -> Joined:  # fmt: skip
        """Join as a host would that saw a certificate. `change` is what somebody in between makes of the request."""
        key, recovery_key = key or PrivateKey.generate(), PrivateKey.generate()
        sent = join.request(way, key, recovery_key, challenge or await self.challenge(), seen, host_name)
        answer = await self.call("join", change(sent.request).encode(), client=client)
        decoded = JoinResponse.decode(answer.body)
        join.check_answer(way, sent, decoded)
        return Joined(sent, decoded, key, recovery_key)

    async def kinds(self) -> list[str]:
        """The kinds of the journal's entries, in order."""
        return [entry.split('"kind":"')[1].split('"')[0] for _, entry, _ in await self.store.journal_lines()]


def rule(attestor: str, **changes: Any) -> Registration:
    """A rule that gives the service `web`, unless told otherwise."""
    return replace(Registration("the rule", attestor, services=("web",)), **changes)


def in_file(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)
