"""The agents' door: who may ask for what, and that nothing is answered before it is durable."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from handsel.authority import service
from handsel.authority.adapters.agents_http import AgentsDoor
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Host
from handsel.authority.profile import Lifetimes, profiles
from handsel.door.asgi import Request
from handsel.errors import NotAuthorised, ProtocolError, Refused, TicketRefused
from handsel.link import ticket as tickets
from handsel.link.messages import (
    PREFIX,
    VERSION,
    VERSION_HEADER,
    Chain,
    JoinRequest,
    JoinResponse,
    RenewRequest,
    SignBatchRequest,
    SignBatchResponse,
)
from handsel.pki import csr
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import first_broken
from tests.support import TRUST_DOMAIN, TestAuthority

SECRET = Secret(b"s" * 32)
SHOWN, BEFORE = (hashlib.sha256(text).digest() for text in (b"shown", b"shown before"))
WEB = TRUST_DOMAIN.workload("default", "web")


class World:
    """A door over a real store, and hosts that speak to it."""

    def __init__(self, store: SqliteStore, authority: TestAuthority) -> None:
        self.store = store
        self.authority = authority
        self.directory = Directory(store)
        self.joined: list[Host] = []
        self.door = AgentsDoor(
            Issuing(store, lambda: authority.issuers),
            self.directory,
            self.domain,
            lambda: (SHOWN, BEFORE),
            self.joined.append,
        )

    def domain(self) -> Domain:
        emoji = TRUST_DOMAIN.workload("default", "emoji")
        return Domain(TRUST_DOMAIN, {"web": WEB, "emoji": emoji}, profiles(Lifetimes()))

    async def call(self, name: str, body: bytes, peer: Certificate | None = None, version: str | None = VERSION):
        headers = {VERSION_HEADER: version} if version is not None else {}
        handler = self.door.routes()["POST", f"{PREFIX}/{name}"]
        return await handler(Request("POST", f"{PREFIX}/{name}", {}, headers, body, peer.der if peer else None))

    async def ticket(self, *services: str) -> None:
        made = service.make_ticket(services, timedelta(minutes=10), SECRET, ticket_id="t1", now=datetime.now(UTC))
        await self.store.commit(made.writes)

    async def join(self, key: PrivateKey | None = None, *, seen: bytes = SHOWN, host_name: str = "h") -> JoinResponse:
        request = csr.build(key or PrivateKey.generate(), None)
        proof = tickets.prove(tickets.derive(SECRET), request, seen)
        answer = await self.call("join", JoinRequest("t1", request, proof, host_name).encode())
        return JoinResponse.decode(answer.body)

    async def sign(self, peer: Certificate, *wanted: tuple[str, bytes]) -> SignBatchResponse:
        answer = await self.call("sign-batch", SignBatchRequest(wanted).encode(), peer)
        return SignBatchResponse.decode(answer.body)


@pytest.fixture
def world(store, living_authority) -> World:
    return World(store, living_authority)


async def test_a_host_joins_and_is_told_to_the_mesh_when_it_is_durable(world):
    await world.ticket("web")
    key = PrivateKey.generate()
    answer = await world.join(key, host_name="host.example")
    assert answer.chain[0].public_key_der == key.public_der()
    assert answer.chain[0].spiffe_id == TRUST_DOMAIN.agent(answer.agent_id)
    assert answer.chain[1:] == (world.authority.issuer.certificate,)
    assert answer.roots == (world.authority.issuer.root,)
    assert world.joined == await world.directory.hosts()
    assert (world.joined[0].agent_id, world.joined[0].name) == (answer.agent_id, "host.example")


async def test_a_host_that_saw_the_certificate_before_a_rotation_can_still_join(world):
    await world.ticket("web")
    with pytest.raises(TicketRefused):
        await world.join(seen=b"x" * 32)
    assert await world.join(seen=BEFORE)


async def test_of_two_that_race_with_one_ticket_the_slower_is_refused(world):
    await world.ticket("web")
    results = await asyncio.gather(*(world.join() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in results].count(JoinResponse) == 1
    assert [type(each) for each in results].count(TicketRefused) == 4
    assert len(world.joined) == len(await world.directory.hosts()) == 1
    assert await world.directory.issued_count() == 1


async def test_a_joined_host_gets_certificates_for_its_services_only(world):
    await world.ticket("web")
    agent = (await world.join()).chain[0]
    key = PrivateKey.generate()
    answer = await world.sign(agent, ("web", csr.build(key, WEB)))
    ((leaf, issuing),) = answer.chains
    assert (leaf.spiffe_id, leaf.public_key_der) == (WEB, key.public_der())
    assert issuing == world.authority.issuer.certificate
    with pytest.raises(Refused, match="not registered"):
        await world.sign(agent, ("emoji", csr.build(key, None)))


async def test_everything_that_went_out_is_in_the_journal_and_nothing_is_left_open(world):
    await world.ticket("web")
    agent = (await world.join()).chain[0]
    answer = await world.sign(agent, *(("web", csr.build(PrivateKey.generate(), WEB)) for _ in range(3)))
    journal = "\n".join(entry for _, entry, _ in await world.store.journal_lines())
    assert all(chain[0].fingerprint in journal for chain in answer.chains)
    assert agent.fingerprint in journal
    assert await world.directory.unfinished() == []
    assert first_broken(await world.store.journal_lines()) is None


async def test_an_agent_renews_itself(world):
    await world.ticket("web")
    joined = await world.join()
    key = PrivateKey.generate()
    answer = await world.call("renew", RenewRequest(csr.build(key, None)).encode(), joined.chain[0])
    renewed = Chain.decode(answer.body).chain[0]
    assert renewed.spiffe_id == TRUST_DOMAIN.agent(joined.agent_id)
    assert renewed.public_key_der == key.public_der()


CALLS = [("renew", RenewRequest(csr.build(PrivateKey.generate(), None)).encode()), ("sign-batch", b"")]


@pytest.mark.parametrize(("call", "body"), CALLS)
async def test_only_an_agent_that_has_joined_is_listened_to(world, call, body):
    await world.ticket("web")
    agent = (await world.join()).chain[0]
    assert (await world.call(call, body, agent)).status == 200
    strangers = [TRUST_DOMAIN.agent("nobody"), TRUST_DOMAIN.server, WEB, TRUST_DOMAIN.workload("handsel", "agent")]
    for peer in (None, *(world.authority.pair(identity).leaf for identity in strangers)):
        with pytest.raises(NotAuthorised):
            await world.call(call, body, peer)


async def test_an_agent_of_the_same_name_in_another_domain_is_not_listened_to(world):
    from handsel.pki.names import TrustDomain

    await world.ticket("web")
    joined = await world.join()
    twin = world.authority.pair(TrustDomain("other.internal").agent(joined.agent_id)).leaf
    assert (await world.call("sign-batch", b"", joined.chain[0])).status == 200
    with pytest.raises(NotAuthorised):
        await world.call("sign-batch", b"", twin)


@pytest.mark.parametrize("version", [None, "0", "2", ""])
async def test_another_version_of_the_link_is_refused(world, version):
    await world.ticket("web")
    agent = (await world.join()).chain[0]
    for call in ("join", "renew", "sign-batch"):
        with pytest.raises(ProtocolError, match="version 1"):
            await world.call(call, b"", agent, version)


@pytest.mark.parametrize("call", ["join", "renew", "sign-batch"])
async def test_a_body_that_makes_no_sense_is_a_protocol_error(world, call):
    await world.ticket("web")
    agent = (await world.join()).chain[0]
    with pytest.raises(ProtocolError):
        await world.call(call, b"\xff\xff\xff", agent)


async def test_anybody_can_see_the_roots(world):
    answer = await world.door.routes()["GET", f"{PREFIX}/roots"](Request("GET", "/", {}, {}, b""))
    assert parse_pem(answer.body) == (world.authority.issuer.root,)


async def test_a_name_of_a_host_has_a_limit(world):
    await world.ticket("web")
    await world.join(host_name="h" * 5000)
    assert len(world.joined[0].name) < 300
