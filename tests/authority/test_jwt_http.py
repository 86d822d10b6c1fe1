"""The door for JWT-SVIDs: only an agent that has joined is heard, and only for services of its host."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.authority.adapters import jwt_http
from handsel.authority.adapters.signers.files import FileKeys
from handsel.door.asgi import Request, Response
from handsel.errors import NotAuthorised, ProtocolError, Refused
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import PREFIX, VERSION, VERSION_HEADER
from handsel.model.federation import SpiffeSettings
from handsel.pki.certificate import Certificate
from handsel.wiring.jwt import JwtAuthority
from handsel.wiring.leader import Leader
from tests.authority.attest.world import DoorWorld
from tests.support import TRUST_DOMAIN

PATH = f"{PREFIX}/jwt"


class World(DoorWorld):
    """The door of tokens, beside those of joining and of agents."""

    async def open(self, folder: Path) -> None:
        jwt = JwtAuthority(self.store, FileKeys(folder), Leader(self.store), self.domain, SpiffeSettings)
        await jwt.start()
        self.routes = jwt_http.routes(self.agents.host, jwt.issue)

    async def token(
        self, peer: Certificate | None, *, service: str = "web", body: bytes | None = None, version=VERSION
    ):
        asked = JwtRequest(service, ("bank",)).encode() if body is None else body
        request = Request("POST", PATH, {}, {VERSION_HEADER: version}, asked, peer.der if peer else None)
        answer = await self.routes["POST", PATH](request)
        assert isinstance(answer, Response)
        return JwtResponse.decode(answer.body)


@pytest.fixture
async def world(store, living_authority, tmp_path) -> World:
    made = World(store, living_authority)
    await made.open(tmp_path / "keys")
    return made


async def test_only_an_agent_that_has_joined_is_heard(world):
    agent = (await world.join(await world.ticket("web"))).answer.chain[0]
    answer = await world.token(agent)
    assert answer.token.count(".") == 2
    assert answer.expires > datetime.now(UTC)
    stranger = world.authority.pair(TRUST_DOMAIN.agent("nobody")).leaf
    workload = world.authority.pair(TRUST_DOMAIN.workload("default", "web")).leaf
    for peer in (None, stranger, workload):
        with pytest.raises(NotAuthorised):
            await world.token(peer)
    world.revoked.add(agent.serial)
    with pytest.raises(NotAuthorised, match="revoked"):
        await world.token(agent)


async def test_what_is_asked_is_read_strictly_and_for_services_of_the_host_only(world):
    agent = (await world.join(await world.ticket("web"))).answer.chain[0]
    assert await world.token(agent)
    with pytest.raises(Refused, match="not registered"):
        await world.token(agent, service="emoji")
    with pytest.raises(Refused, match="audience"):
        await world.token(agent, body=JwtRequest("web", ()).encode())
    with pytest.raises(ProtocolError):
        await world.token(agent, body=b"\xff")
    with pytest.raises(ProtocolError, match="version"):
        await world.token(agent, version="0")
    assert (await world.kinds()).count("jwt") == 1
