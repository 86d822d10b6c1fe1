"""Two servers with folders of their own before one PostgreSQL: either answers, and they are one authority."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handsel.errors import Conflict
from handsel.store.adapters.postgres import Database, PostgresStore
from handsel.store.journal import entry
from handsel.wiring.storage import APPLIERS
from tests.e2e import books
from tests.e2e.acme_load import Client, Load, Responder
from tests.e2e.mesh_process import Handsel, free_port, run, short_folder, wait_for
from tests.e2e.test_killed import CONFIG, start, trust
from tests.postgres import empty_database
from tests.support import NOW

pytestmark = pytest.mark.e2e
LEADS = "this server does the periodic work now"


@dataclass
class Two:
    """Servers `a` and `b`."""

    folder: Path
    database: Database
    responder: Responder
    ports: dict[str, int] = field(default_factory=lambda: {"a": free_port(), "b": free_port()})
    servers: dict[str, Handsel] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        self.servers[name] = start(self.folder, name, self.ports[name], "--database", self.database.url, *arguments)

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}"

    @property
    def trust(self) -> ssl.SSLContext:
        return trust(self.folder, "a")

    def client(self, *names: str) -> Client:
        return Client([self.url(name) for name in names], self.trust, self.responder)

    def store(self) -> PostgresStore:
        return PostgresStore(self.database, APPLIERS, log="test")


@pytest.fixture
def empty(postgres) -> Database:
    return empty_database(postgres)


@contextlib.asynccontextmanager
async def two_servers(database: Database) -> AsyncIterator[Two]:
    with short_folder() as folder:
        async with Responder() as responder:
            (folder / "handsel.yaml").write_text(CONFIG.format(port=responder.port))
            two = Two(folder, database, responder)
            try:
                two.start("a", "--migrate")
                shutil.copytree(folder / "a" / "server" / "authority", folder / "b" / "server" / "authority")
                for each in (folder / "b", folder / "b" / "server"):
                    each.chmod(0o700)
                two.start("b")
                yield two
            finally:
                for server in two.servers.values():
                    server.stop()


async def test_an_order_that_goes_from_server_to_server_becomes_a_certificate(empty):
    async with two_servers(empty) as two:
        client = two.client("a", "b")  # each request, and each nonce, goes to the other one
        await client.register()
        given = [await client.certificate() for _ in range(3)]
        assert client.refused_nonces == 0
        await client.close()
        store = two.store()
        await books.check(store, given)
        assert len(await store.logs()) == 2
        store.close()


async def test_a_nonce_is_taken_once_by_one_of_two_servers(empty):
    """§6.5: nonces are valid on every server of one database, and single use."""
    async with two_servers(empty) as two:
        client = two.client("a")
        await client.register()
        path = f"/acme/account/{client.account}"

        async def ask(name: str, nonce: str) -> tuple[int, str]:
            answer = await client.send(two.url(name), path, client.sign(path, two.url(name), {}, nonce))
            return answer.status_code, answer.text

        for first, second in (("a", "b"), ("b", "a"), ("a", "a")):
            nonce = await client.nonce(two.url("a"))
            assert (await ask(first, nonce))[0] == 200
            status, problem = await ask(second, nonce)
            assert status == 400
            assert "badNonce" in problem
        for _ in range(10):  # at the same moment
            nonce = await client.nonce(two.url("b"))
            answers = await asyncio.gather(ask("a", nonce), ask("b", nonce))
            assert sorted(status for status, _ in answers) == [200, 400]
        # A request that is refused has used its nonce too.
        nonce = await client.nonce(two.url("a"))
        wrong = client.sign("/acme/new-order", two.url("a"), {"identifiers": []}, nonce)
        assert (await client.send(two.url("a"), "/acme/new-order", wrong)).status_code == 400
        assert "badNonce" in (await ask("b", nonce))[1]
        await client.close()


@pytest.mark.timeout(300)
async def test_of_two_servers_one_is_killed_under_load_and_nothing_that_was_answered_is_lost(empty):
    async with two_servers(empty) as two:
        load = Load()
        clients = [two.client("a", "b") for _ in range(2)] + [two.client("b", "a") for _ in range(2)]
        for client in clients:
            await client.register()
        running = [asyncio.create_task(load.run(client)) for client in clients]
        try:
            for name in ("a", "b", "a"):
                before = len(load.got)
                async with asyncio.timeout(30):
                    while len(load.got) < before + 10:
                        await asyncio.sleep(0.01)
                two.servers[name].kill()
                other = "b" if name == "a" else "a"
                for client in clients:
                    client._turns = iter([two.url(other)] * 1_000_000)
                before = len(load.got)
                async with asyncio.timeout(30):
                    while len(load.got) < before + 10:
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(two.start, name)
        finally:
            load.stopping = True
            await asyncio.gather(*running, return_exceptions=True)
        store = two.store()
        states = await books.check(store, load.got)
        store.close()
        assert states["issued"] >= 60
        assert load.broken >= 1


async def test_the_server_that_does_periodic_work_is_followed_by_the_other(empty):
    async with two_servers(empty) as two:
        wait_for(lambda: LEADS in two.servers["a"].output())
        assert LEADS not in two.servers["b"].output()
        two.servers["a"].kill()
        wait_for(lambda: LEADS in two.servers["b"].output(), 10)


async def test_what_a_dead_server_intended_is_abandoned_by_the_leader(empty):
    async with two_servers(empty) as two:
        store = two.store()  # a third server, which dies between its two commits
        from handsel.authority.directory import Intended, Issued

        await store.commit(
            (Intended("77", "x", ("x",), "issuing", "default", "k", NOW, NOW, "t"), entry("intended", NOW, serial="77"))
        )
        two.servers["a"].kill()
        wait_for(lambda: LEADS in two.servers["b"].output(), 10)
        await asyncio.sleep(1)
        directory_states = await _state(store, "77")
        assert directory_states == "intended"  # it lives, so it may go on
        store.close()
        two.servers["b"].kill()
        two.start("b")
        store = PostgresStore(empty, APPLIERS, log="another")
        async with asyncio.timeout(15):
            while await _state(store, "77") != "abandoned":
                await asyncio.sleep(0.05)
        with pytest.raises(Conflict):
            await store.commit((Issued("77", b"", ""),))
        store.close()


async def _state(store: PostgresStore, serial: str) -> str:
    import sqlalchemy as sa

    rows = await store.read(sa.text("SELECT state FROM certificates WHERE serial = :s"), {"s": serial})
    return rows[0].state


async def test_a_second_server_without_the_keys_is_refused(empty):
    async with two_servers(empty) as two:
        refused = run(
            "server", "-f", "handsel.yaml", "--state", "c", "--listen", "127.0.0.1:0", "--metrics-port", "0",
            "--database", two.database.url, cwd=two.folder,
        )  # fmt: skip
        assert refused.returncode == 1
        assert "HS-S001" in refused.stderr
        assert "issuing.crt is gone" in refused.stderr


def test_a_password_on_the_command_line_is_refused():
    refused = run("server", "--state", "/nowhere", "--database", "postgresql://me:secret@db/handsel")
    assert refused.returncode == 2
    assert "seen by everybody" in refused.stderr
    assert "secret" not in refused.stderr
