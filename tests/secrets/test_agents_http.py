"""The agents' door for values: what is granted comes, once written down; everything else is refused, and written too."""

from __future__ import annotations

import pytest

from handsel.door.asgi import Request
from handsel.errors import NotAuthorised, ProtocolError
from handsel.link.secrets import MOST_AT_ONCE, SecretRef, SecretRefs, SecretsRequest, SecretsResponse
from handsel.pki.secret import Secret
from handsel.secrets import service
from handsel.secrets.adapters.agents_http import SecretsDoor
from handsel.secrets.adapters.keys import Keyring
from handsel.secrets.adapters.vault import Vault, now, random
from handsel.secrets.grants import Recipient
from handsel.secrets.service import Known, Wish

WEB = "spiffe://test.internal/ns/default/sa/web"


class World:
    def __init__(self, store, folder):
        self.store = store
        self.vault = Vault(store, Keyring(folder / "authority", None, {}, random))
        self.host: Recipient | None = Recipient(
            "a1", {"web": WEB, "other": "spiffe://test.internal/ns/default/sa/other"}
        )
        self.door = SecretsDoor(store, self.vault, dict, self._recipient)

    async def _recipient(self, _request):
        if self.host is None:
            raise NotAuthorised("banned")
        return self.host

    async def put(self, name: str, value: bytes, **more) -> str:
        async def decide(kek):
            known = Known({each.name: each for each in await self.vault.tables.entries()})
            wishes = [Wish(name, Secret(value), **more)]
            return service.put(wishes, known, kek, by="local", now=now(), random=random)

        return (await self.vault.write(decide))[0].version_id

    async def grant(self, name: str, to: str) -> None:
        known = Known({each.name: each for each in await self.vault.tables.entries()})
        await self.store.commit(service.grant(name, to, known, by="local", now=now()).writes)

    async def ask(self, *wanted) -> SecretsResponse:
        body = SecretsRequest(wanted).encode()
        answer = await self.door.hand_out(Request("POST", "/agent/v1/secrets", {}, {}, body))
        return SecretsResponse.decode(answer.body)

    async def acts(self, name: str) -> list[tuple[str, str]]:
        found = await self.vault.tables.accesses(name, name, 100)
        return [(each["kind"], each["fields"].get("host", "")) for each in found]


@pytest.fixture
def world(store, tmp_path):
    return World(store, tmp_path)


async def test_what_is_granted_comes_and_each_delivery_is_written_once(world):
    version = await world.put("db", b"hello")
    await world.grant("db", "web")
    key = ("web", "db", version)
    for _ in range(3):
        answer = await world.ask(key)
        assert answer.values[key].reveal() == b"hello"
    assert await world.acts("db") == [("secret put", ""), ("secret granted", ""), ("secret delivered", "a1")]
    world.host = Recipient("a2", world.host.services)
    await world.ask(key)
    assert (await world.acts("db"))[-1] == ("secret delivered", "a2")


async def test_what_is_not_granted_is_refused_and_written_once(world):
    version = await world.put("db", b"hello")
    await world.grant("db", WEB)
    for wanted, why in [
        (("other", "db", version), "not granted"),
        (("elsewhere", "db", version), "not of this host"),
        (("web", "db", "another"), "newer version"),
        (("web", "dc", version), "not granted"),
    ]:
        for _ in range(2):
            answer = await world.ask(wanted, ("web", "db", version))
            assert why in answer.refused[wanted]
            assert list(answer.values) == [("web", "db", version)]
    assert [act for act, _ in await world.acts("db")].count("secret denied") == 3
    assert await world.acts("dc") == [("secret denied", "a1")]


async def test_a_host_that_gets_nothing_gets_nothing(world):
    version = await world.put("db", b"hello")
    await world.grant("db", "web")
    assert (await world.ask()).values == {}
    world.host = None
    for wanted in [(), (("web", "db", version),)]:
        with pytest.raises(NotAuthorised):
            await world.ask(*wanted)


async def test_so_much_is_asked_for_at_once(world):
    wanted = [("web", f"s{number}", "v") for number in range(MOST_AT_ONCE)]
    assert len((await world.ask(*wanted)).refused) == MOST_AT_ONCE
    with pytest.raises(ProtocolError):
        await world.ask(*wanted, ("web", "more", "v"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../db"}, {"file": ".."}, {"file": "a/b"}, {"service": "../web"}, {"mode": 0o644}, {"group": "other"},
        {"owner": "root;x"}, {"name": "a/b/c"}, {"mode": 0o4600},
    ],
    ids=str,
)  # fmt: skip
def test_a_reference_that_would_leave_its_folder_is_left_out(wrong):
    good = SecretRef("db", "v", "web", "db")
    bad = SecretRef(**{"name": "db", "version": "v", "service": "web", "file": "db", **wrong})
    assert SecretRefs.decode(SecretRefs((bad, good)).encode()).refs == (good,)
