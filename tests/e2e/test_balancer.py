"""A load balancer of the mesh, run by `up`: towards services it shows its identity, and changes need no restart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509

from tests.e2e.hosts import hosts
from tests.e2e.mesh_process import Mesh, access_log, free_port, mesh, run, short_folder, wait_for
from tests.mesh.balancer.certificates import Pair, make, revoke
from tests.mesh.balancer.running import Client

pytestmark = pytest.mark.e2e

TELLS = f"{sys.executable} {Path(__file__).parent / 'programs' / 'tells_all.py'}"
TEXT = """\
trust_domain: shop.internal
services:
  orders: {{command: {tells} orders}}
  billing: {{command: {tells} billing}}
  secret: {{command: {tells} secret}}
balancers:
  front:
    bind: 127.0.0.1
    http_mode: redirect
    http_port: {http}
    https_port: {https}
    ssl_endpoints:
      - {{public_key: {folder}/shop.pem, private_key: {folder}/shop.key, vanity_names: [shop.example.com]}}
    client_cert: {folder}/clients.pem
    verify_client_mode: optional
    revocation_list: {folder}/revoked.pem
    mappings:
      - {{input_uri: /chat, app_name: orders, upstream_protocol: ws}}
      - {{input_uri: "/{{app}}/", app_name: "{{app}}"}}
    applications: {{orders: {{health: {{path: /healthz, interval: 500ms}}}}, billing: {{}}}}
"""


@dataclass(frozen=True)
class Shop:
    """The mesh that runs, a client of its load balancer, and its PKI outside."""

    mesh: Mesh
    folder: Path
    client: Client
    plain: Client
    public: Pair
    clients: Pair
    alice: Pair

    @property
    def alice_asks(self) -> Client:
        return replace(self.client, pair=(self.folder / "alice.pem", self.folder / "alice.key"))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with short_folder() as folder:
        public, clients = make("Public CA", ca=True), make("Partners", ca=True)
        alice = make("alice", by=clients)
        alice.write(folder, "alice")
        make("shop.example.com", ["shop.example.com"], by=public).write(folder, "shop", public)
        (folder / "clients.pem").write_bytes(clients.pem)
        (folder / "revoked.pem").write_bytes(revoke(clients))
        http, https = free_port(), free_port()
        with mesh(TEXT.format(tells=TELLS, folder=folder, http=http, https=https)) as running:
            client = Client(https, "shop.example.com")
            for path in ("/orders/", "/billing/"):
                wait_for(lambda path=path: _status(client, path) == 200, what=f"{path} answers")
            yield Shop(running, folder, client, Client(http, tls=False), public, clients, alice)


def _status(client: Client, path: str) -> int:
    try:
        return client.ask(path).status
    except OSError:
        return 0


def test_services_are_reached_with_the_identity_of_the_load_balancer(shop: Shop):
    answer = shop.client.ask("/billing/7?x=1")
    assert (answer.told["name"], answer.told["path"]) == ("billing", "/7?x=1")
    peers = [each.get("peer_uri") for each in access_log(shop.mesh.state, "billing")]
    assert "spiffe://shop.internal/ns/default/sa/front" in peers


def test_a_service_that_is_not_among_the_applications_is_not_reached(shop: Shop):
    assert shop.client.ask("/secret/").status == 404
    assert shop.client.ask("/billing/").status == 200


def test_the_plain_port_redirects(shop: Shop):
    answer = shop.plain.ask("/orders/7", host="shop.example.com")
    assert (answer.status, answer.headers["location"]) == (301, f"https://shop.example.com:{shop.client.port}/orders/7")


def test_a_websocket_reaches_a_service(shop: Shop):
    with shop.client.connect() as connection:
        connection.sendall(
            b"GET /chat HTTP/1.1\r\nHost: shop.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x81\x84\0\0\0\0ping")
        assert connection.recv(4096) == b"\x81\x04ping"


def test_a_new_certificate_and_a_new_revocation_list_need_no_restart(shop: Shop):
    new = make("shop.example.com", ["shop.example.com"], by=shop.public)
    new.write(shop.folder, "shop", shop.public)
    serial = new.certificate.serial_number
    wait_for(lambda: x509.load_der_x509_certificate(shop.client.certificate()).serial_number == serial)
    assert shop.alice_asks.ask("/orders/").told["headers"]["x-ssl-client-verify"] == "SUCCESS"
    (shop.folder / "revoked.pem").write_bytes(revoke(shop.clients, shop.alice))
    wait_for(lambda: shop.alice_asks.ask("/orders/").status == 403, what="the revoked certificate is refused")
    assert shop.client.ask("/orders/").told["headers"]["x-ssl-client-verify"] == "NONE"


def test_the_rule_is_told_from_the_file_alone(shop: Shop):
    told = run("mesh", "route", "https://shop.example.com/billing/7", "-f", str(shop.mesh.folder / "handsel.yaml"))
    assert told.returncode == 0, told.stderr
    assert "rule 2 (/{app}/) takes it: billing" in told.stdout
    assert "rule 1: the path does not begin with /chat" in told.stdout


HOSTS = """\
trust_domain: shop.internal
services: {{orders: {{}}}}
balancers:
  front:
    bind: 127.0.0.1
    http_mode: "on"
    http_port: {http}
    mappings: [{{input_uri: /, app_name: orders}}]
    applications: {{orders: {{health: {{path: /healthz, interval: 200ms}}}}}}
"""


def test_a_service_on_several_hosts_is_balanced_over_those_that_are_well() -> None:
    http = free_port()
    with hosts(HOSTS.format(http=http)) as running:
        running.join("a", "front", "orders")
        running.join("b", "orders")
        programs = {host: running.program(host, "orders", f"{TELLS} {host}") for host in ("a", "b")}
        client = Client(http, tls=False)

        def who() -> set[str]:
            answers = [client.ask() for _ in range(6)]
            return {str(each.told["name"]) if each.status == 200 else str(each.status) for each in answers}

        wait_for(lambda: who() == {"a", "b"}, what="both hosts answer")
        programs["b"].kill()
        wait_for(lambda: who() == {"a"}, what="the host without a program is left out")
        for _ in range(5):
            assert who() == {"a"}
