"""Servers that are killed: no certificate is out that the books do not know, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from pathlib import Path

import pytest

from handsel.agent.layout import Layout
from handsel.errors import Unreachable
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import SignBatchRequest
from handsel.pki import csr
from handsel.pki.certificate import parse_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.ca_keys import with_keys
from tests.e2e import books
from tests.e2e.acme_load import Client, Load, Responder
from tests.e2e.mesh_process import Handsel, free_port, run, short_folder

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("KILLS", "100"))
CLIENTS = 4
TRUST_DOMAIN = TrustDomain("killed.internal")
CONFIG = "trust_domain: killed.internal\nauthority: {{acme: {{validation: {{http_port: {port}}}}}}}\n"


def start(folder: Path, name: str, port: int, *arguments: str) -> Handsel:
    """A server on its own state folder, at a port that stays the same."""
    server = Handsel(
        folder, name, "server", "-f", "handsel.yaml", "--state", name, "--listen", f"127.0.0.1:{port}",
        "--metrics-port", "0", "--status-port", "0", *arguments,
    )  # fmt: skip
    server.wait_for("server https://")
    return server


def trust(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=run("ca", "bundle", "--state", str(folder / name)).stdout)
    return context


async def sign(load: Load, folder: Path, port: int) -> None:
    """An agent that asks for certificates of its workload all the time."""
    layout = Layout(folder / "h" / "agent", folder / "h" / "runtime")
    roots, pair = parse_pem(layout.roots.read_bytes()), (layout.certificate, layout.key)
    identity = TRUST_DOMAIN.workload("default", "web")
    async with LinkClient(f"https://127.0.0.1:{port}", TRUST_DOMAIN, roots, pair) as link:
        while not load.stopping:
            try:
                answer = await link.sign_batch(SignBatchRequest((("web", csr.build(PrivateKey.generate(), identity)),)))
                load.got.append(answer.chains[0][0].parsed)
            except Unreachable:
                load.broken += 1
            await asyncio.sleep(0.01)


def join(folder: Path, state: str) -> None:
    """A host of the service `web`."""
    ticket = run("agent", "ticket", "--state", str(folder / state), "--services", "web")
    assert ticket.returncode == 0, ticket.stderr
    joined = run("join", "--ticket", ticket.stdout.strip(), "--state", str(folder / "h"))
    assert joined.returncode == 0, joined.stderr


@pytest.mark.timeout(900)
async def test_a_server_that_is_killed_at_any_moment_has_no_certificate_out_that_its_books_do_not_know():
    """§4 of the promises: the intention is durable before the key is used, the result before the answer."""
    with short_folder() as folder:
        async with Responder() as responder:
            text = CONFIG.format(port=responder.port) + "services: {web: {}}\n"
            (folder / "handsel.yaml").write_text(with_keys(folder, text))
            port, load, chance = free_port(), Load(), random.Random(7)
            server = start(folder, "s", port)
            clients = [Client([f"https://127.0.0.1:{port}"], trust(folder, "s"), responder) for _ in range(CLIENTS)]
            join(folder, "s")
            running = [asyncio.create_task(load.run(client)) for client in clients]
            running.append(asyncio.create_task(sign(load, folder, port)))
            try:
                for _ in range(KILLS):
                    before, deadline = len(load.got), time.monotonic() + 10
                    while len(load.got) == before and time.monotonic() < deadline:
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(chance.uniform(0, 0.1))
                    server.process.kill()
                    server.process.wait()
                    server = await asyncio.to_thread(start, folder, "s", port)
            finally:
                load.stopping = True
                done = await asyncio.gather(*running, return_exceptions=True)
                server.stop()
            assert done == [None] * len(running)
        store = SqliteStore(folder / "s" / "server" / "handsel.db", APPLIERS)
        states = await books.check(store, load.got)
        store.close()
    assert len(load.got) >= KILLS
    assert load.broken >= KILLS / 2
    assert states["abandoned"] > 0 or KILLS < 50, "no kill ever fell between the two commits"
