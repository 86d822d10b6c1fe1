"""Two servers with folders of their own before one PostgreSQL: either answers, and they are one authority."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.agent.layout import Layout
from handsel.errors import Conflict
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import Frame, Resources
from handsel.link.report import Report, WorkloadReport
from handsel.pki.certificate import parse_pem
from handsel.pki.names import TrustDomain
from handsel.store.adapters.database import Database
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.journal import entry
from handsel.wiring.storage import APPLIERS
from tests.ca_keys import with_keys
from tests.e2e import books
from tests.e2e.acme_load import Client, Load, Refused, Responder
from tests.e2e.mesh_process import Handsel, environment, free_port, run, short_folder, wait_for
from tests.e2e.test_killed import CONFIG, start, trust
from tests.postgres import empty_database, new_database, running
from tests.support import NOW

pytestmark = pytest.mark.e2e
MESH = """
services:
  web: {calls: [emoji]}
  emoji: {}
"""
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
async def two_servers(database: Database, more: str = "") -> AsyncIterator[Two]:
    with short_folder() as folder:
        async with Responder() as responder:
            (folder / "handsel.yaml").write_text(with_keys(folder, CONFIG.format(port=responder.port) + more))
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
            "server", "-f", "handsel.yaml", "--state", "c", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0",
            "--database", two.database.url, cwd=two.folder,
        )  # fmt: skip
        assert refused.returncode == 1
        assert "HS-S001" in refused.stderr
        assert "issuing.crt is gone" in refused.stderr


async def test_of_two_servers_that_start_at_once_on_an_empty_database_one_makes_the_authority(postgres):
    database = new_database(postgres)
    with short_folder() as folder:
        common = ("--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0", "--database", database.url)
        (folder / "handsel.yaml").write_text(with_keys(folder, MESH))
        started = [Handsel(folder, name, "server", "--state", name, *common) for name in ("a", "b")]
        refused = wait_for(lambda: [each for each in started if each.process.poll() is not None], 30)
        (made,) = [each for each in started if each not in refused]
        made.wait_for("server https://")
        assert len(refused) == 1
        assert "issuing.crt is gone" in refused[0].output()
        assert made.stop() == 0


def test_a_password_on_the_command_line_is_refused():
    refused = run("server", "--state", "/nowhere", "--database", "postgresql://me:secret@db/handsel")
    assert refused.returncode == 2
    assert "seen by everybody" in refused.stderr
    assert "secret" not in refused.stderr


def _report(service: str, mesh_port: int) -> Report:
    callees = {"emoji": 20001} if service == "web" else {}
    return Report((WorkloadReport(service, "127.0.0.1", 8080, mesh_port, mesh_port + 1, callees, "/log"),))


class Agent:
    """A host that joined at one server; it may speak to each."""

    def __init__(self, two: Two, service: str, at: str) -> None:
        state = two.folder / service
        made = run("agent", "ticket", "--state", str(two.folder / at), "--services", service)
        assert made.returncode == 0, made.stderr
        joined = run("join", "--ticket", made.stdout.strip(), "--state", str(state))
        assert joined.returncode == 0, joined.stderr
        layout = Layout(state / "agent", state / "runtime")
        self.two, self.service = two, service
        self.roots = parse_pem(layout.roots.read_bytes())
        self.pair = (layout.certificate, layout.key)
        self.seen: list[Frame] = []

    def link(self, name: str) -> LinkClient:
        return LinkClient(self.two.url(name), TrustDomain("killed.internal"), self.roots, self.pair)

    async def watch(self, name: str, since: int = 0) -> None:
        async with self.link(name) as link:
            async for frame in link.watch(since):
                if frame.sequence:
                    self.seen.append(frame)

    async def report(self, name: str, mesh_port: int) -> None:
        async with self.link(name) as link:
            await link.report(_report(self.service, mesh_port))

    def knows(self, port: int) -> bool:
        """Whether the newest configuration names a port."""
        bodies = {(frame.kind, frame.key): frame.body for frame in self.seen}
        resources = [Resources.decode(body) for (kind, _), body in bodies.items() if kind == Resources.KIND and body]
        return any(encode_varint(port) in each.body for found in resources for each in found.resources)


def encode_varint(number: int) -> bytes:
    """As protobuf writes it."""
    return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))


async def test_agents_at_different_servers_hear_of_each_other_within_a_second(empty):
    async with two_servers(empty, MESH) as two:
        web, emoji = Agent(two, "web", "a"), Agent(two, "emoji", "b")
        watching = [asyncio.create_task(web.watch("a")), asyncio.create_task(emoji.watch("b"))]
        await web.report("a", 17001)
        for port in (18001, 18003, 18005):
            await emoji.report("b", port)
            async with asyncio.timeout(1):
                while not web.knows(port):
                    await asyncio.sleep(0.01)
        # Reports at both servers at once: the leader mends what either compiled without the other.
        for port in range(19001, 19021, 2):
            await asyncio.gather(emoji.report("b", port), web.report("a", port + 1000))
            async with asyncio.timeout(2):
                while not web.knows(port):
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        sequences = [frame.sequence for frame in web.seen]
        assert sequences == sorted(set(sequences))
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        # The other server resumes where the first one stopped.
        last, before = sequences[-1], len(web.seen)
        watching = [asyncio.create_task(web.watch("b", last))]
        await asyncio.sleep(0.5)
        assert len(web.seen) == before
        await emoji.report("a", 18007)
        async with asyncio.timeout(1):
            while not web.knows(18007):
                await asyncio.sleep(0.01)
        assert min(frame.sequence for frame in web.seen[before:]) > last
        watching[0].cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def test_an_agent_that_knows_both_servers_goes_on_with_one(empty):
    async with two_servers(empty, MESH) as two:
        made = run("agent", "ticket", "--state", str(two.folder / "a"), "--services", "web")
        nobody, ticket = f"https://127.0.0.1:{free_port()}", made.stdout.strip()
        others = ("--server", two.url("b"), "--server", two.url("a"))
        joined = run("join", nobody, *others, "--ticket", ticket, "--state", str(two.folder / "host"))
        assert joined.returncode == 0, joined.stderr
        layout = Layout(two.folder / "host" / "agent", two.folder / "runtime")
        two.servers["b"].kill()
        agent = Handsel(two.folder, "host", "agent", "run", "--state", "host")
        try:
            chain = layout.of("web").chain
            wait_for(chain.exists, 20)
            await asyncio.to_thread(two.start, "b")
            wait_for(lambda: two.servers["b"].output().count("server https://") == 2)  # the log has both starts
            two.servers["a"].kill()
            # It follows the other one from where it was: what is published there arrives.
            emoji = Agent(two, "emoji", "b")
            resources = layout.of("web").resources
            known = resources.read_bytes()
            await emoji.report("b", 18001)
            wait_for(lambda: encode_varint(18001) in resources.read_bytes(), 20)
            assert encode_varint(18001) not in known
        finally:
            agent.stop()


@pytest.mark.timeout(200)
async def test_a_database_that_is_away_for_a_while_is_waited_for():
    with running() as server:
        async with two_servers(empty_database(server)) as two:
            client = two.client("a", "b")
            await client.register()
            assert await client.certificate()
            ready = f"{two.url('a')}/readyz"
            assert (await client._http.get(ready)).status_code == 200
            server.stop()
            answer = await client._http.get(ready)
            assert answer.status_code == 503
            assert "HS-S001" in answer.text
            assert (await client._http.get(f"{two.url('a')}/healthz")).status_code == 200
            with pytest.raises(Refused, match="HS-S001"):
                await client.certificate()
            await asyncio.sleep(3)  # the leader sees that its lock is gone
            for name in ("a", "b"):
                assert two.servers[name].process.poll() is None
            server.start()
            client.nonces.clear()
            given = [await client.certificate() for _ in range(2)]
            leading = two.servers["a"].output().count(LEADS) + two.servers["b"].output().count(LEADS)
            wait_for(lambda: two.servers["a"].output().count(LEADS) + two.servers["b"].output().count(LEADS) >= 2, 10)
            assert leading >= 1
            await client.close()
            store = two.store()
            await books.check(store, given)
            store.close()
            for name in ("a", "b"):
                assert "Traceback" not in two.servers[name].output()


@pytest.mark.timeout(200)
async def test_a_challenge_that_a_dead_server_looked_at_is_looked_at_by_the_other(empty):
    async with two_servers(empty) as two:
        wait_for(lambda: LEADS in two.servers["a"].output())
        client = two.client("a")
        await client.register()
        order = await client.ask("/acme/new-order", {"identifiers": [{"type": "dns", "value": "localhost"}]})
        where = "/" + order.headers["Location"].split("/", 3)[3]
        path = "/" + order.json()["authorizations"][0].split("/", 3)[3]
        challenge = next(each for each in (await client.ask(path)).json()["challenges"] if each["type"] == "http-01")
        two.responder.delay = 30  # for as long as the first server lives
        await client.ask("/" + challenge["url"].split("/", 3)[3], {})
        await asyncio.sleep(0.3)
        two.servers["a"].kill()
        two.responder.delay = 0
        two.responder.answers[challenge["token"]] = f"{challenge['token']}.{client.thumbprint}"
        client._turns = iter([two.url("b")] * 100_000)
        client.nonces.clear()
        assert (await client._until(where, "ready"))["status"] == "ready"
        await client.close()


async def test_what_is_revoked_at_one_server_the_other_says_is_revoked_within_a_second(empty):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    async with two_servers(empty) as two:
        status = free_port()
        two.servers["b"].stop()
        two.start("b", "--status-port", f"{status}")
        wait_for(lambda: two.servers["b"].output().count("server https://") == 2)
        client = two.client("a")
        await client.register()
        given = await client.certificate()
        await client.close()
        (two.folder / "leaf.pem").write_bytes(given.public_bytes(Encoding.PEM))
        issuing = (two.folder / "a" / "server" / "authority" / "issuing.crt").read_bytes()
        (two.folder / "issuer.pem").write_bytes(issuing)
        (two.folder / "roots.pem").write_text(run("ca", "bundle", "--state", str(two.folder / "a")).stdout)

        async def says() -> str:
            asking = await asyncio.create_subprocess_exec(
                "openssl", "ocsp", "-sha256", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-CAfile", "roots.pem",
                "-url", f"http://127.0.0.1:{status}/ocsp/issuing", cwd=two.folder, env=environment(),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await asking.communicate()
            return output.decode()

        assert "leaf.pem: good" in await says()
        serial = f"{given.serial_number:x}"
        revoked = await asyncio.to_thread(run, "cert", "revoke", serial, "--state", str(two.folder / "a"))
        assert revoked.returncode == 0, revoked.stderr
        async with asyncio.timeout(1):
            while "leaf.pem: revoked" not in (said := await says()):
                assert "leaf.pem: good" in said


async def test_a_new_root_reaches_the_other_server_once_its_files_do(empty):
    async with two_servers(empty) as two:

        def rotate(at: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            return run("ca", "rotate", *arguments, "--state", str(two.folder / at))

        begun = [at for at in ("a", "b") if rotate(at, "root").returncode == 0]
        assert len(begun) == 1  # the one that leads
        (at,) = begun
        other = "b" if at == "a" else "a"
        assert rotate(at, "override", "root", "--reason", "nobody reads it from a file").returncode == 0
        wait_for(lambda: _retires(rotate(at, "status").stdout), seconds=30, what="a new issuing CA")
        bundle = run("ca", "bundle", "--state", str(two.folder / at)).stdout
        new = bundle.partition("-----END")[0] + "-----END CERTIFICATE-----\n"  # the one that signs comes first
        (two.folder / "new.pem").write_text(new)
        assert not await asyncio.to_thread(_believed, two, other)
        for path in (two.folder / at / "server" / "authority").iterdir():
            if path.is_file():
                shutil.copy2(path, two.folder / other / "server" / "authority" / path.name)
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(_believed, two, other):
                await asyncio.sleep(0.2)


def _retires(status: str) -> bool:
    return any(line.split()[:2] == ["issuing", "retiring"] for line in status.splitlines())


def _believed(two: Two, name: str) -> bool:
    """Whether a server's door is believed by the new root alone."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", two.url(name).removeprefix("https://"), "-CAfile", "new.pem"],
        cwd=two.folder, input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "Verify return code: 0 (ok)" in shown.stdout
