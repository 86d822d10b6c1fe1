"""The agents' door: who may ask for what, and that nothing is answered before it is durable."""

from __future__ import annotations

import pytest

from handsel.door.asgi import Request
from handsel.errors import NotAuthorised, ProtocolError, Refused
from handsel.link.joining import JoinResponse
from handsel.link.messages import PREFIX, Chain, RenewRequest, SignBatchRequest, SignBatchResponse
from handsel.pki import csr
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey
from handsel.store.journal import first_broken
from tests.authority.attest.world import WEB, DoorWorld
from tests.support import TRUST_DOMAIN


class World(DoorWorld):
    """A host that has joined, and what it asks for."""

    async def joined_host(self) -> JoinResponse:
        return (await self.join(await self.ticket("web"))).answer

    async def sign(self, peer: Certificate, *wanted: tuple[str, bytes]) -> SignBatchResponse:
        answer = await self.call("sign-batch", SignBatchRequest(wanted).encode(), peer)
        return SignBatchResponse.decode(answer.body)


@pytest.fixture
def world(store, living_authority) -> World:
    return World(store, living_authority)


async def test_a_joined_host_gets_certificates_for_its_services_only(world):
    agent = (await world.joined_host()).chain[0]
    key = PrivateKey.generate()
    answer = await world.sign(agent, ("web", csr.build(key, WEB)))
    ((leaf, issuing),) = answer.chains
    assert (leaf.spiffe_id, leaf.public_key_der) == (WEB, key.public_der())
    assert issuing == world.authority.issuer.certificate
    with pytest.raises(Refused, match="not registered"):
        await world.sign(agent, ("emoji", csr.build(key, None)))


async def test_everything_that_went_out_is_in_the_journal_and_nothing_is_left_open(world):
    agent = (await world.joined_host()).chain[0]
    answer = await world.sign(agent, *(("web", csr.build(PrivateKey.generate(), WEB)) for _ in range(3)))
    journal = "\n".join(entry for _, entry, _ in await world.store.journal_lines())
    assert all(chain[0].fingerprint in journal for chain in answer.chains)
    assert agent.fingerprint in journal
    assert await world.directory.unfinished() == []
    assert first_broken(await world.store.journal_lines()) is None


async def test_an_agent_renews_itself(world):
    joined = await world.joined_host()
    key = PrivateKey.generate()
    answer = await world.call("renew", RenewRequest(csr.build(key, None)).encode(), joined.chain[0])
    renewed = Chain.decode(answer.body).chain[0]
    assert renewed.spiffe_id == TRUST_DOMAIN.agent(joined.agent_id)
    assert renewed.public_key_der == key.public_der()


CALLS = [("renew", RenewRequest(csr.build(PrivateKey.generate(), None)).encode()), ("sign-batch", b"")]


@pytest.mark.parametrize(("call", "body"), CALLS)
async def test_only_an_agent_that_has_joined_is_listened_to(world, call, body):
    agent = (await world.joined_host()).chain[0]
    assert (await world.call(call, body, agent)).status == 200
    strangers = [TRUST_DOMAIN.agent("nobody"), TRUST_DOMAIN.server, WEB, TRUST_DOMAIN.workload("handsel", "agent")]
    for peer in (None, *(world.authority.pair(identity).leaf for identity in strangers)):
        with pytest.raises(NotAuthorised):
            await world.call(call, body, peer)


async def test_an_agent_of_the_same_name_in_another_domain_is_not_listened_to(world):
    from handsel.pki.names import TrustDomain

    joined = await world.joined_host()
    twin = world.authority.pair(TrustDomain("other.internal").agent(joined.agent_id)).leaf
    assert (await world.call("sign-batch", b"", joined.chain[0])).status == 200
    with pytest.raises(NotAuthorised):
        await world.call("sign-batch", b"", twin)


@pytest.mark.parametrize("version", [None, "0", "2", ""])
async def test_another_version_of_the_link_is_refused(world, version):
    agent = (await world.joined_host()).chain[0]
    for call in ("renew", "sign-batch"):
        with pytest.raises(ProtocolError, match="version 1"):
            await world.call(call, b"", agent, version)


@pytest.mark.parametrize("call", ["renew", "sign-batch"])
async def test_a_body_that_makes_no_sense_is_a_protocol_error(world, call):
    agent = (await world.joined_host()).chain[0]
    with pytest.raises(ProtocolError):
        await world.call(call, b"\xff\xff\xff", agent)


async def test_anybody_can_see_the_roots(world):
    answer = await world.agents.routes()["GET", f"{PREFIX}/roots"](Request("GET", "/", {}, {}, b""))
    assert parse_pem(answer.body) == (world.authority.issuer.root,)


@pytest.mark.parametrize(("call", "body"), CALLS)
async def test_an_agent_whose_certificate_is_revoked_is_not_listened_to(world, call, body):
    agent = (await world.joined_host()).chain[0]
    assert (await world.call(call, body, agent)).status == 200
    world.revoked.add(agent.serial)
    with pytest.raises(NotAuthorised, match="revoked"):
        await world.call(call, body, agent)
