"""Gateways as whoever is outside meets them: real clients, and each refusal beside the same probe let in."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.mesh_process import Mesh, end_everything_in, fetch, free_port, mesh, run, short_folder, wait_for
from tests.e2e.outside import Client, plain
from tests.e2e.programs.third_parties import Authority, Files

pytestmark = pytest.mark.e2e

PROGRAMS = Path(__file__).parent / "programs"
ECHO = f"{sys.executable} {PROGRAMS / 'headers_echo.py'}"
OWN_TLS = f"{sys.executable} {PROGRAMS / 'own_tls_server.py'}"
NAMES = ["shop.example.com", "may.example.com", "must.example.com"]


@dataclass(frozen=True)
class Edge:
    """A mesh with gateways, and the CAs of those outside."""

    mesh: Mesh
    ports: dict[str, int]
    public: Authority
    good: Files
    revoked: Files
    stranger: Files
    certificate: Files

    def client(self, port: str = "front", shows: Files | None = None) -> Client:
        return Client(self.ports[port], self.public.root, shows)


def _hash(files: Files) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.certificate.read_text())).hexdigest()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with short_folder() as folder:
        public, partner = Authority(folder, "public"), Authority(folder, "partner")
        certificate = public.issue("shop", NAMES)
        good, revoked = (partner.issue(name, ["till.partner.example"]) for name in ("till", "stolen-till"))
        own = public.issue("own", ["own.example.com"])
        ports = {name: free_port() for name in ("front", "plain", "pass", "queue", "exposed", "modern", "pinned")}
        text = f"""\
trust_domain: edge.internal
services:
  web:
    command: {ECHO} web
    expose: {{port: {ports["exposed"]}, tls: simple}}
  cart: {{command: {ECHO} cart, calls: [shop]}}
  own: {{command: {OWN_TLS} {own.certificate} {own.key}, protocol: tcp}}
external:
  shop:
    host: shop.example.com
    endpoints: ["127.0.0.1:{ports["front"]}"]
    tls: {{ca_certificates: {public.root}}}
gateways:
  front:
    port: {ports["front"]}
    redirect_from: {ports["plain"]}
    tls:
      certificate: {certificate.certificate}
      private_key: {certificate.key}
      ca_certificates: {partner.root}
      crl: {partner.revoke("partner", revoked)}
      names: [till.partner.example]
    routes:
      - {{host: shop.example.com, to: web}}
      - {{host: shop.example.com, path: /cart, to: cart}}
      - {{host: may.example.com, to: web, client_certificate: optional}}
      - {{host: must.example.com, to: web, client_certificate: required}}
  pass:
    port: {ports["pass"]}
    tls: {{mode: passthrough}}
    routes: [{{host: own.example.com, to: own}}]
  queue:
    port: {ports["queue"]}
    protocol: tcp
    routes: [{{host: "*", to: own}}]
  pinned:
    port: {ports["pinned"]}
    tls:
      mode: mutual
      certificate: {certificate.certificate}
      private_key: {certificate.key}
      ca_certificates: {partner.root}
      hashes: [{_hash(good)}]
    routes: [{{host: "*", to: web}}]
  modern:
    port: {ports["modern"]}
    tls: {{certificate: {certificate.certificate}, private_key: {certificate.key}, minimum: TLSv1.3}}
    routes: [{{host: "*", to: web}}]
"""
        with mesh(text) as running:
            yield Edge(
                running, ports, public, good, revoked, public.issue("stranger", ["till.partner.example"]), certificate
            )


def test_a_path_leads_to_its_service_and_http_2_is_offered(edge: Edge) -> None:
    assert edge.client().get("shop.example.com", "/a").json["name"] == "web"
    assert edge.client().get("shop.example.com", "/cart/1").json["name"] == "cart"
    assert edge.client().get("shop.example.com", "/cartoon").json["name"] == "web"
    with edge.client().connect("shop.example.com", ("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize(
    ("port", "refused", "taken"),
    [
        ("front", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2),
        ("modern", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_older_versions_than_the_oldest_are_refused(
    edge: Edge, port: str, refused: ssl.TLSVersion, taken: ssl.TLSVersion
) -> None:
    client = replace(edge.client(port), lowest=ssl.TLSVersion.TLSv1, highest=taken)
    assert client.get("shop.example.com").status == 200
    assert replace(client, highest=refused).refuses("shop.example.com")


def test_the_post_quantum_group_is_offered_and_older_clients_get_in_without_it(edge: Edge) -> None:
    def groups() -> set[str]:
        return {each["tls_group"] for each in edge.mesh.access_log("front") if each["event"] == "inbound_request"}

    assert fetch(edge.mesh.url("cart", "shop"))[0] == edge.client().get("shop.example.com").status == 200
    wait_for(lambda: {"X25519MLKEM768", "X25519"} <= groups())


def test_who_must_show_a_certificate_is_told_to_the_program_and_nobody_else_gets_in(edge: Edge) -> None:
    answer = edge.client(shows=edge.good).get("must.example.com", X__Forwarded__Client__Cert="By=forged")
    said = answer.json["headers"]["x-forwarded-client-cert"]
    assert "till.partner.example" in said
    assert "forged" not in said
    assert edge.client().refuses("must.example.com")
    assert edge.client(shows=edge.stranger).refuses("must.example.com")
    assert edge.client(shows=edge.good).get("must.example.com").status == 200


def test_a_name_that_is_not_among_the_expected_ones_is_refused(edge: Edge) -> None:
    other = Authority(edge.mesh.folder, "other")
    assert edge.client(shows=other.issue("till-of-others", ["till.partner.example"])).refuses("must.example.com")


def test_a_revoked_client_certificate_is_refused(edge: Edge) -> None:
    assert edge.client(shows=edge.good).get("must.example.com").status == 200
    assert edge.client(shows=edge.revoked).refuses("must.example.com")
    assert edge.client(shows=edge.revoked).refuses("may.example.com")


def test_a_pinned_certificate_is_the_only_one_of_its_ca_that_is_let_in(edge: Edge) -> None:
    assert edge.client("pinned", edge.good).get("shop.example.com").status == 200
    assert edge.client("pinned", edge.revoked).refuses("shop.example.com")


def test_who_may_show_a_certificate_is_told_apart_by_it(edge: Edge) -> None:
    forged = dict.fromkeys(("X__Forwarded__Client__Cert", "X_Forwarded_Client_Cert"), "By=forged")
    forged |= {"X__Envoy__Internal": "true", "X__Envoy__Upstream__Rq__Timeout__Ms": "1"}
    nobody = edge.client().get("may.example.com", **forged)
    assert nobody.status == 200
    assert not [each for each in nobody.json["headers"] if "client" in each]
    assert not {"x-envoy-internal", "x-envoy-upstream-rq-timeout-ms"} & nobody.json["headers"].keys()
    somebody = edge.client(shows=edge.good).get("may.example.com")
    assert "till.partner.example" in somebody.json["headers"]["x-forwarded-client-cert"]
    assert edge.client(shows=edge.stranger).refuses("may.example.com")


def test_a_request_for_another_host_than_that_of_tls_is_misdirected(edge: Edge) -> None:
    client = edge.client()
    assert client.get("shop.example.com", host="shop.example.com").status == 200
    assert client.get("shop.example.com", host=f"shop.example.com:{client.port}").status == 200
    assert client.get("shop.example.com", host="must.example.com").status == 421
    assert client.get("shop.example.com", host="nobody.example.com").status == 421
    assert replace(client, roots=None).refuses("nobody.example.com")


def test_plain_requests_are_sent_to_https(edge: Edge) -> None:
    answer = plain(edge.ports["plain"], "shop.example.com", "/a?b=1")
    assert (answer.status, answer.headers["location"]) == (
        301, f"https://shop.example.com:{edge.ports['front']}/a?b=1"
    )  # fmt: skip
    assert plain(edge.ports["plain"], "nobody.example.com").status == 404


def test_tls_that_passes_is_that_of_the_program(edge: Edge) -> None:
    client = edge.client("pass")
    assert client.get("own.example.com").body == "own\n"
    assert replace(client, roots=None).refuses("shop.example.com")
    assert edge.client("queue").get("own.example.com").body == "own\n"


def test_a_service_exposes_a_port_of_its_own_sidecar(edge: Edge) -> None:
    roots = edge.mesh.state / "agent" / "roots.pem"
    client = Client(edge.ports["exposed"])
    answer = client.get("web", X__Forwarded__Client__Cert="By=forged")
    assert answer.json["name"] == "web"
    assert "x-forwarded-client-cert" not in answer.json["headers"]
    assert b"spiffe://edge.internal/ns/default/sa/web" in answer.certificate, roots


def test_a_new_certificate_is_shown_and_no_request_is_lost(edge: Edge) -> None:
    before = edge.client().get("shop.example.com").certificate
    failures: list[str] = []
    stopping = threading.Event()

    def load() -> None:
        while not stopping.is_set():
            try:
                if edge.client().get("shop.example.com").status != 200:
                    failures.append("status")
            except OSError as error:
                failures.append(str(error))

    loading = threading.Thread(target=load)
    loading.start()
    with edge.client().connect("shop.example.com") as kept:
        new = edge.public.issue("shop-2", NAMES)
        for old, fresh in ((edge.certificate.key, new.key), (edge.certificate.certificate, new.certificate)):
            fresh.rename(old)
        wait_for(lambda: edge.client().get("shop.example.com").certificate != before, what="the new certificate")
        time.sleep(0.3)
        kept.sendall(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
        assert kept.recv(100).startswith(b"HTTP/1.1 200")
    stopping.set()
    loading.join()
    assert failures == []


def test_a_gateway_goes_on_when_everything_else_of_ours_is_killed() -> None:
    with short_folder() as folder:
        public, port = Authority(folder, "public"), free_port()
        files = public.issue("shop", ["shop.example.com"])
        text = f"""\
telemetry: {{requests: true}}
services:
  web: {{command: {ECHO} web}}
gateways:
  front:
    port: {port}
    tls:
      {{mode: mutual, certificate: {files.certificate}, private_key: {files.key}, ca_certificates: {public.root}}}
    routes: [{{host: shop.example.com, to: web}}]
"""
        with mesh(text) as running:
            client = Client(port, public.root, public.issue("somebody", ["somebody.example"]))
            told = client.get("shop.example.com").json["headers"]["x-forwarded-client-cert"]
            assert "somebody.example" in told, "also where requests are looked into at both ends"
            os.killpg(running.up.process.pid, signal.SIGKILL)
            running.up.process.wait()
            time.sleep(0.5)
            assert client.get("shop.example.com").json["name"] == "web"
            end_everything_in(running.folder)
            wait_for(
                lambda: client.refuses("shop.example.com"), what="that nobody listens, now that the proxy ended too"
            )


def test_a_gateway_takes_its_certificate_from_an_acme_ca() -> None:
    port, challenges = free_port(), free_port()
    text = f"""\
services:
  web: {{command: {ECHO} web}}
gateways:
  front:
    port: {port}
    tls: {{}}
    acme: {{directory: mesh, names: [127.0.0.1], listen: "127.0.0.1:{challenges}"}}
    routes: [{{host: "*", to: web}}]
authority: {{acme: {{validation: {{http_port: {challenges}}}}}}}
"""
    with mesh(text) as running:
        roots = running.folder / "roots.pem"
        roots.write_text(run("ca", "bundle", "--state", str(running.state)).stdout)
        client = Client(port, roots)
        wait_for(lambda: not client.refuses("127.0.0.1"), what="a certificate that clients believe")
        assert client.get("127.0.0.1").json["name"] == "web"


def test_a_port_that_somebody_has_is_said_before_anything_starts() -> None:
    with short_folder() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = f"{{port: {port}, routes: [{{host: '*', to: web}}]}}"
        (folder / "handsel.yaml").write_text(f"services: {{web: {{}}}}\ngateways: {{front: {gateway}}}\n")
        refused = run("up", "-f", str(folder / "handsel.yaml"), "--state", str(folder / "s"))
        assert refused.returncode == 1
        assert f"port {port} of front is in use by" in refused.stderr
