"""An Envoy configured by hand serves a workload's ACME certificate from the agent's socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from handsel import settings
from handsel.agent.layout import Layout
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey
from tests.e2e.acme_ca import Ca, Ours, Pebble, pebble_binary, running  # noqa: F401  # the fixture
from tests.e2e.hosts import hosts
from tests.e2e.mesh_process import free_port, run, short_folder, wait_for, workload
from tests.e2e.test_acme_clients import Zone
from tests.support import TestAuthority
from tests.xds.foreign import ANSWERS, Flavour, envoy, listener

pytestmark = pytest.mark.e2e
NAME = "shop.test.internal"

MESH = """
trust_domain: sidecar.internal
services:
  web:
    acme:
      directory: {directory}
      names: [{name}]
      roots: {roots}
      profile: short
      listen: 127.0.0.1:{port}
"""

OWN = """
trust_domain: sidecar.internal
services:
  web:
    acme: {{directory: mesh, names: [{name}], listen: "127.0.0.1:{port}"}}
    files:
      tls:
        folder: out
        contents: {{k.pem: {{kind: key, from: acme}}, c.pem: {{kind: certificate, from: acme}}, own.pem: certificate}}
authority:
  acme:
    validation: {{http_port: {port}, resolver: "127.0.0.1:{dns_port}"}}
"""


@contextlib.asynccontextmanager
async def by_hand(folder: Path, state: Path, secret: str) -> AsyncIterator[int]:
    """An Envoy whose only secret is this one of the socket of `web`. Gives the port where it serves HTTPS."""
    socket = Layout(state / "agent", settings.runtime_folder(state)).of("web").sockets.ads
    flavour, port = Flavour("sds-grpc", "GRPC", secret, ""), free_port()
    tls = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [flavour.source(secret)]},
        },
    }
    bootstrap = flavour.bootstrap(socket, folder / "h.adm", [listener("shop", port, ANSWERS, tls)], [])
    async with envoy(folder, "by-hand", bootstrap):
        yield port


async def shown(port: int, trusting: ssl.SSLContext) -> tuple[int, Certificate]:
    """The status of a GET on a new connection, and the certificate that was believed."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=NAME)
        secure: Any = writer.get_extra_info("ssl_object")
        writer.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.readuntil(b"hello")
        writer.close()
        return int(answer.split()[1]), Certificate(secure.getpeercert(binary_form=True))


@pytest.mark.parametrize("kind", ["handsel", "pebble"])
def test_a_client_sees_no_failure_while_it_is_renewed(kind: str, pebble_binary: Callable[[], str]) -> None:  # noqa: F811
    with short_folder() as of_ca:
        made = Ours(of_ca) if kind == "handsel" else Pebble(of_ca, pebble_binary())
        with running(made) as ca:
            text = MESH.format(directory=ca.directory, roots=ca.roots, port=ca.http_port, name=NAME)
            with hosts(text) as apart:
                state = apart.join("one", "web")
                wait_for(lambda: _acme(state)["serial"], 30, "the certificate")
                serials = asyncio.run(_ask_until_renewed(apart.folder, state, ca))
    assert len(serials) >= 2


async def _ask_until_renewed(folder: Path, state: Path, ca: Ca) -> set[str]:
    trusting, serials, asked = ca.trusting_its_certificates(), set(), 0
    async with by_hand(folder, state, NAME) as port:
        await asyncio.to_thread(wait_for, lambda: _answers(port), 15, "the Envoy")
        while len(serials) < 2 or asked < 150:
            status, leaf = await shown(port, trusting)
            assert status == 200
            serials.add(leaf.serial)
            asked += 1
            assert asked < 2000, _acme(state)
            await asyncio.sleep(0.03)
    return serials


def test_what_the_mesh_itself_gave_outlives_the_server_and_the_agent() -> None:
    """`directory: mesh`. With the server gone, an agent that starts again serves what it holds."""
    from dnslib.server import DNSServer

    port, dns_port = free_port(), free_port()
    with hosts(OWN.format(name=NAME, port=port, dns_port=dns_port)) as apart:
        names = DNSServer(Zone(apart.folder / "records"), address="127.0.0.1", port=dns_port)
        names.start_thread()
        try:
            state = apart.join("one", "web")
            serial = wait_for(lambda: _acme(state)["serial"], 30, "the certificate")
        finally:
            names.stop()
            names.server.server_close()
        files = apart.folder / "out"
        pair = wait_for(lambda: _pair(files), what="the files")
        assert (pair[0].public_der(), pair[1].serial) == (pair[1].public_key_der, serial)
        assert parse_pem((files / "own.pem").read_bytes())[0].uri_names  # the identity, beside it
        roots = run("ca", "bundle", "--state", str(apart.server_state)).stdout
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.load_verify_locations(cadata=roots)
        apart.server.kill()
        apart.agents["one"].kill()
        apart.start_agent("one")

        async def ask() -> None:
            for secret in ("acme", NAME):
                async with by_hand(apart.folder, state, secret) as listening:
                    await asyncio.to_thread(wait_for, lambda: _answers(listening), 15, "the Envoy")
                    assert (await shown(listening, trusting))[1].serial == serial

        asyncio.run(ask())
        assert workload(state, "web")["acme"]["directory"] == "mesh"


def test_a_ca_that_is_away_is_an_alarm_and_holds_up_nobody() -> None:
    with short_folder() as folder:
        nowhere, roots = f"https://127.0.0.1:{free_port()}/dir", folder / "roots.pem"
        roots.write_bytes(TestAuthority.make().issuer.root.pem)
        with hosts(MESH.format(directory=nowhere, roots=roots, port=free_port(), name=NAME)) as apart:
            state = apart.join("one", "web")  # it is ready, with its identity
            problem = wait_for(lambda: _acme(state).get("problem"), what="the alarm")
            assert problem == f"the ACME CA {nowhere} does not answer: Connection refused"
            assert problem in run("status", "--state", str(state)).stdout.replace("\n", " ")


def _acme(state: Path) -> dict[str, Any]:
    found = workload(state, "web")["acme"]
    return found or {"serial": None}


def _pair(files: Path) -> tuple[PrivateKey, Certificate] | None:
    if not (files / "c.pem").exists():
        return None
    key = PrivateKey.from_pem((files / "k.pem").read_bytes())
    return key, parse_pem((files / "c.pem").read_bytes())[0]


def _answers(port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
