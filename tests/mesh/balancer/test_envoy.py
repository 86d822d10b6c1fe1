"""What a load balancer promises, seen from its clients and its applications, through a real Envoy."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.e2e.mesh_process import free_port, wait_for
from tests.mesh.balancer.certificates import Pair, make, revoke
from tests.mesh.balancer.running import Client, Running, running
from tests.mesh.balancer.workers import Worker

MB = 1 << 20

FRONT = """
balancers:
  front:
    bind: 127.0.0.1
    http_mode: "on"
    http_port: {http}
    https_port: {https}
    ssl_endpoints:
      - public_key: shop.pem
        private_key: shop.key
        more_certificates: [{{public_key: shop-rsa.pem, private_key: shop-rsa.key}}]
        vanity_names: [shop.example.com, eu.shop.example.com]
      - public_key: partner.pem
        private_key: partner.key
        verify_client_mode: "on"
        revocation_list: revoked.pem
      - public_key: inner.pem
        private_key: inner.key
        verify_client_mode: "off"
        ip_allowlist: [127.0.0.2/32]
    default_ssl_endpoint: 1
    client_cert: clients.pem
    verify_client_mode: optional
    mappings:
      - {{input_uri: /chat, app_name: orders, upstream_protocol: ws, strict: true}}
      - {{input_uri: /secure/, app_name: legacy, upstream_protocol: https, app_uri: /}}
      - {{input_uri: "/v1/{{region}}/{{app}}/", app_name: "{{app}}", app_uri: /api/}}
      - {{input_uri: /foo, app_name: orders, app_uri: /bar}}
      - {{input_uri: /slow, app_name: slow, app_uri: /slow}}
      - {{input_uri: /, app_name: orders}}
    applications:
      orders: {{workers: ["127.0.0.1:{one}", "127.0.0.1:{two}"], health: {{path: /healthz, interval: 200ms}}}}
      legacy: {{workers: ["127.0.0.1:{tls}"], ca_certificates: inside.pem, server_name: legacy.internal}}
      slow: {{workers: ["127.0.0.1:{one}"], check_health: false}}
"""


@dataclass(frozen=True)
class Place:
    """A folder with certificates, and workers that run."""

    folder: Path
    clients: Pair
    one: Worker
    two: Worker
    tls: Worker

    @property
    def finished(self) -> int:
        """How many requests came through whole."""
        return self.one.finished + self.two.finished

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def serial(self, name: str) -> int:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes()).serial_number


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="hs-") as name:
        folder = Path(name)
        public, clients, inside = (make(each, ca=True) for each in ("Public CA", "Partners", "Inside"))
        shop = ["shop.example.com", "*.shop.example.com"]
        make(shop[0], shop, by=public).write(folder, "shop", public)
        make(shop[0], shop, by=public, rsa_key=True).write(folder, "shop-rsa", public)
        make("partner.example.com", by=public).write(folder, "partner", public)
        make("inner.example.com", ["inner.example.com"], by=public).write(folder, "inner", public)
        make("legacy.internal", ["legacy.internal"], by=inside).write(folder, "legacy")
        (folder / "inside.pem").write_bytes(inside.pem)
        (folder / "clients.pem").write_bytes(clients.pem)
        gone = make("gone", by=clients)
        for who, pair in (("alice", make("alice", by=clients)), ("gone", gone), ("mallory", make("alice"))):
            pair.write(folder, who)
        (folder / "revoked.pem").write_bytes(revoke(clients, gone))
        tls = Worker("tls", (folder / "legacy.pem", folder / "legacy.key"))
        yield Place(folder, clients, Worker("one"), Worker("two"), tls)


@dataclass(frozen=True)
class Front:
    """The load balancer that runs, and a client of each endpoint."""

    running: Running
    shop: Client
    partner: Client
    inner: Client
    plain: Client


@pytest.fixture(scope="module")
def front(place: Place) -> Iterator[Front]:
    http, https = free_port(), free_port()
    text = FRONT.format(http=http, https=https, one=place.one.port, two=place.two.port, tls=place.tls.port)
    with running(text, place.folder, http, https) as envoy:
        shop = Client(https, "shop.example.com")
        partner = replace(shop, server_name="partner.example.com", pair=place.pair("alice"))
        inner = replace(shop, server_name="inner.example.com", source="127.0.0.2")
        yield Front(envoy, shop, partner, inner, Client(http, tls=False))


# Names and certificates


def test_each_name_gets_its_certificate_and_others_the_default_one(front: Front, place: Place):
    def shown(client: Client) -> str:
        return x509.load_der_x509_certificate(client.certificate()).subject.rfc4514_string()

    assert shown(front.shop) == "CN=shop.example.com"
    assert shown(replace(front.shop, server_name="eu.shop.example.com")) == "CN=shop.example.com"
    assert shown(front.inner) == "CN=inner.example.com"
    for name in ("", "nobody.example.net"):
        assert shown(replace(front.partner, server_name=name)) == "CN=partner.example.com"


def test_rsa_and_ecdsa_serve_the_same_name(front: Front):
    suites = {
        "ECDHE-RSA-AES256-GCM-SHA384": rsa.RSAPublicKey,
        "ECDHE-ECDSA-AES256-GCM-SHA384": ec.EllipticCurvePublicKey,
    }
    for suite, kind in suites.items():
        client = replace(front.shop, newest=ssl.TLSVersion.TLSv1_2, ciphers=suite)
        key = x509.load_der_x509_certificate(client.certificate()).public_key()
        assert isinstance(key, kind)


def test_a_suite_that_is_not_in_the_set_is_refused(front: Front):
    with pytest.raises(OSError):
        replace(front.shop, newest=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256").certificate()


# Client certificates

FORGED = {
    "X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-DN": "CN=root", "X-SSL-Issuer": "CN=root", "X-SSL-Client-Serial": "1",
    "x-ssl-client-cert": "forged", "X-SSL-Anything": "forged", "X_SSL_Client_Verify": "SUCCESS",
    "x-forwarded-client-cert": "URI=spiffe://forged",
}  # fmt: skip


def _told(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ssl" in name or name == "x-forwarded-client-cert"}


def test_the_application_learns_what_the_certificate_says(front: Front, place: Place):
    for client in (replace(front.shop, pair=place.pair("alice")), front.partner):
        told = _told(client.ask(headers=FORGED).told["headers"])
        pem = unquote(told.pop("x-ssl-client-cert")).encode()
        assert x509.load_pem_x509_certificate(pem).serial_number == place.serial("alice")
        assert int(told.pop("x-ssl-client-serial"), 16) == place.serial("alice")
        assert "CN=alice" in told.pop("x-forwarded-client-cert")
        assert told == {
            "x-ssl-client-verify": "SUCCESS", "x-ssl-client-dn": "CN=alice", "x-ssl-issuer": "CN=Partners",
        }  # fmt: skip


def test_what_a_client_says_of_itself_is_taken_away(front: Front):
    assert _told(front.shop.ask(headers=FORGED).told["headers"]) == {"x-ssl-client-verify": "NONE"}
    assert _told(front.inner.ask(headers=FORGED).told["headers"]) == {}


def test_a_certificate_that_is_not_believed_does_not_reach_the_application(front: Front, place: Place):
    before = place.finished
    answer = replace(front.shop, pair=place.pair("mallory")).ask()
    assert (answer.status, b"not believed" in answer.body) == (403, True)
    assert place.finished == before
    assert front.shop.ask().status == 200
    assert place.finished == before + 1


@pytest.mark.parametrize("who", ["", "mallory", "gone"])
def test_where_a_certificate_is_required_nobody_else_gets_through(front: Front, place: Place, who: str):
    with pytest.raises(OSError):
        replace(front.partner, pair=place.pair(who) if who else None).ask()
    assert front.partner.ask().status == 200


# Rules


@pytest.mark.parametrize(
    ("path", "worker", "seen"),
    [
        ("/v1/eu/orders/7?x=1", "one two", "/api/7?x=1"),
        ("/v1/eu/legacy/7", "", ""),
        ("/foo/a", "one two", "/bar/a"),
        ("/foobar", "one two", "/barbar"),
        ("/secure/a", "tls", "/a"),
        ("/secure", "one two", "/secure"),
        ("/chat", "one two", "/"),
        ("/chatter", "one two", "/chatter"),
        ("/a/../foo/b", "one two", "/bar/b"),
        ("//foo%2fb", "one two", "/bar/b"),
    ],
)
def test_a_rule_says_who_gets_which_path(front: Front, path: str, worker: str, seen: str):
    answer = front.shop.ask(path)
    if not worker:
        assert answer.status == 503  # `legacy` has no plain port
        return
    assert answer.status == 200, answer.body
    assert answer.told["worker"] in worker.split()
    assert answer.told["path"] == seen


def test_a_name_that_no_application_has_is_not_found(front: Front):
    answer = front.shop.ask("/v1/eu/nobody/7")
    assert (answer.status, answer.body) == (404, b"no application has this name\n")


def test_a_websocket_passes_where_the_rule_lets_it(front: Front):
    hello = (
        "GET {} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with front.shop.connect() as connection:
        connection.sendall(hello.format("/chat").encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"ping")
        assert connection.recv(4096) == b"ping"
    with front.shop.connect() as connection:
        connection.sendall(hello.format("/foo").encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_the_plain_port_serves_the_default_endpoint(front: Front):
    answer = front.plain.ask("/foo/a", headers=FORGED)
    assert answer.told["path"] == "/bar/a"
    assert _told(answer.told["headers"]) == {"x-ssl-client-verify": "NONE"}


# Limits


def test_an_allowlist_refuses_others_before_they_see_a_certificate(front: Front):
    assert front.inner.ask().status == 200
    with pytest.raises(OSError):
        replace(front.inner, source="127.0.0.3").certificate()
    with pytest.raises(OSError):
        replace(front.inner, source="127.0.0.3").ask()


def test_headers_beyond_32_kb_are_refused(front: Front):
    assert front.shop.ask(headers={"x-large": "x" * 30_000}).status == 200
    assert front.shop.ask(headers={"x-large": "x" * 33_000}).status == 431


def _chunks(megabytes: int) -> Iterator[bytes]:
    block = b"\0" * MB
    for _ in range(megabytes):
        yield block


def test_bodies_up_to_200_mb_stream_through_without_being_held(front: Front, place: Place):
    before = front.running.memory()
    answer = front.shop.ask("/", method="POST", body=_chunks(199), chunked=True)
    assert answer.told["bytes"] == 199 * MB
    finished = place.finished
    answer = front.shop.ask("/", method="POST", body=_chunks(201), chunked=True)
    assert answer.status == 413
    assert front.running.memory() - before < 40 * MB
    said = {"content-length": str(201 * MB), "expect": "100-continue"}
    assert front.shop.ask("/", method="POST", headers=said, body=b"").status == 413
    assert place.finished == finished, "what was cut off is no request"


def test_requests_go_round_and_leave_a_worker_that_is_not_well(front: Front, place: Place):
    assert {front.shop.ask().told["worker"] for _ in range(4)} == {"one", "two"}
    place.two.healthy = False
    try:
        wait_for(lambda: {front.shop.ask().told["worker"] for _ in range(4)} == {"one"}, what="two is left out")
    finally:
        place.two.healthy = True
    wait_for(lambda: {front.shop.ask().told["worker"] for _ in range(4)} == {"one", "two"}, what="two is back")
