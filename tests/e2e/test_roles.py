"""Every role of a proxy on hosts apart: egress gateway, adapter, ambassador, initializer; and who holds which key."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from handsel import settings
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.mesh_process import access_log, fetch, free_port, run, short_folder, wait_for, workload
from tests.e2e.outside import Client
from tests.e2e.programs.third_parties import ANSWER, CLIENT_ONLY, Authority, Files, old, serving, tls

pytestmark = pytest.mark.e2e

ECHO = f"{sys.executable} {Path(__file__).parent / 'programs' / 'headers_echo.py'}"
BANK = "external.system.com"


@dataclass
class Place:
    """The hosts, who is outside, and what those outside saw."""

    hosts: Hosts
    public: Authority
    seen: list[str]
    front: int

    def call(self, caller: str, callee: str, path: str = "/") -> tuple[int, str]:
        return fetch(f"http://127.0.0.1:{self.hosts.callee_port('first', caller, callee)}{path}")

    def identity(self, host: str, service: str) -> Files:
        folder = self.hosts.folder / host / "agent" / "workloads" / service
        return Files(folder / "identity.crt", folder / "identity.key")

    def secrets_of(self, host: str, service: str) -> set[str]:
        return {each["name"] for each in workload(self.hosts.folder / host, service)["secrets"]}

    def join_without_waiting(self, host: str, service: str) -> None:
        """For a service that is not ready before something else happens."""
        state = ["--state", str(self.hosts.folder / host)]
        made = run("agent", "ticket", "--state", str(self.hosts.server_state), "--services", service)
        assert run("join", "--ticket", made.stdout.strip(), *state).returncode == 0
        self.hosts.start_agent(host)

    def put(self, group: str, files: Files, roots: Path | None = None) -> None:
        values = {"tls.crt": files.certificate, "tls.key": files.key} | ({"ca.crt": roots} if roots else {})
        for name, path in values.items():
            done = run("secret", "put", f"{group}/{name}", "--file", str(path), "--state", str(self.hosts.server_state))
            assert done.returncode == 0, done.stderr


def _tells(seen: list[str]) -> Callable[[ssl.SSLSocket], None]:
    """A third party that notes whose certificate it saw."""

    def speak(connection: ssl.SSLSocket) -> None:
        if request := connection.recv(4096):
            subject = dict(pair for each in connection.getpeercert()["subject"] for pair in each)
            host = next(line for line in request.decode().splitlines() if line.lower().startswith("host:"))
            seen.append(f"{subject['commonName']} {host.split()[1]}")
            connection.sendall(ANSWER)

    return speak


def _http10(seen: list[str]) -> Callable[[ssl.SSLSocket], None]:
    """An old server: HTTP/1.0, one request a connection, no chunks."""

    def speak(connection: ssl.SSLSocket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        head, _, body = request.decode().partition("\r\n\r\n")
        length = next(
            (int(line.split()[1]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
        )
        while len(body) < length:
            body += connection.recv(4096).decode()
        seen.append(f"{connection.version()} {head.splitlines()[0]} chunks={'chunked' in head} {body}")
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nold\n")

    return speak


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with short_folder() as folder, contextlib.ExitStack() as stack:
        public, seen = Authority(folder, "public"), []
        client = public.issue("our-client", usage=CLIENT_ONLY)
        bank = stack.enter_context(serving(tls(public.issue("bank", [BANK]), clients=public.root), _tells(seen)))
        partner = stack.enter_context(
            serving(tls(public.issue("partner", ["partner.system.com"]), clients=public.root), _tells(seen))
        )
        ledger_files = public.issue("ledger", ["ledger.old.example"])
        twelve = stack.enter_context(serving(tls(ledger_files, newest=ssl.TLSVersion.TLSv1_2), _http10(seen)))
        eleven = stack.enter_context(serving(old(ledger_files), _http10(seen)))
        front = free_port()
        text = f"""\
trust_domain: roles.internal
services:
  web: {{calls: [bank, ledger, older, modern-only]}}
  late: {{calls: [partner, ledger]}}
  batch: {{}}
  till: {{role: ambassador, calls: [web]}}
  ledger:
    role: adapter
    upstream:
      {{host: 127.0.0.1, port: {twelve}, protocol: http1.0,
       tls: {{ca_certificates: {public.root}, server_name: ledger.old.example}}}}
  older:
    role: adapter
    upstream:
      {{host: 127.0.0.1, port: {eleven}, protocol: http1.0,
       tls: {{minimum: TLSv1.0, maximum: TLSv1.1, ca_certificates: {public.root}, server_name: ledger.old.example}}}}
  modern-only:
    role: adapter
    upstream:
      {{host: 127.0.0.1, port: {eleven}, tls: {{ca_certificates: {public.root}, server_name: ledger.old.example}}}}
  once: {{files: {{tls: {folder}/files}}}}
external:
  bank:
    host: {BANK}
    endpoints: ["127.0.0.1:{bank}"]
    tls:
      {{mode: mutual, client_certificate: {client.certificate}, private_key: {client.key}, ca_certificates: {public.root}}}
  partner:
    host: partner.system.com
    endpoints: ["127.0.0.1:{partner}"]
    tls: {{mode: mutual, credential: partner-client}}
gateways:
  out: {{role: egress, for: [bank]}}
  front:
    port: {front}
    tls: {{credential: shop-cert}}
    routes: [{{host: shop.example.com, to: web}}]
"""
        running = stack.enter_context(hosts(text))
        made = Place(running, public, seen, front)
        made.put("shop-cert", public.issue("shop", ["shop.example.com"]))
        running.join("first", "web", "batch", "till", "ledger", "older", "modern-only")
        running.join("second", "out", "front")
        running.program("first", "web", f"{ECHO} web")
        shop = Client(front, public.root)
        wait_for(lambda: shop.get("shop.example.com").status == 200, what="web behind its gateway")
        yield made


def test_calls_to_the_outside_go_through_the_egress_gateway_which_alone_has_the_client_certificate(
    place: Place,
) -> None:
    assert wait_for(lambda: place.call("web", "bank", "/account")[0] == 200)
    assert place.seen[-1] == f"our-client {BANK}"
    line = wait_for(lambda: [e for e in access_log(place.hosts.folder / "first", "web") if e.get("callee") == "bank"])[
        -1
    ]
    assert line["upstream"] == f"127.0.0.1:{place.hosts.mesh_port('second', 'out')}"
    assert line["peer_uri"] == "spiffe://roles.internal/ns/default/sa/out"
    assert any(name.startswith("file-cert:") for name in place.secrets_of("second", "out"))
    assert place.secrets_of("first", "web") == {"ROOTCA", "default"}


def test_the_egress_gateway_lets_in_only_who_may_call(place: Place) -> None:
    client = Client(place.hosts.mesh_port("second", "out"), shows=place.identity("first", "web"))
    with client.connect(BANK, ("h2",)) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    batch = replace(client, shows=place.identity("first", "batch"))
    assert _is_refused(batch, BANK)
    assert _is_refused(replace(client, shows=None), BANK)
    assert _is_refused(client, "elsewhere.example.com")
    assert not _is_refused(client, BANK)


def test_without_the_egress_gateway_there_is_no_way_outside(place: Place) -> None:
    assert place.call("web", "bank")[0] == 200
    count = len(place.seen)
    state = place.hosts.folder / "second"
    before = workload(state, "out")["envoy"]
    place.hosts.agents["second"].kill()

    os.kill(before, signal.SIGKILL)
    assert wait_for(lambda: place.call("web", "bank")[0] == 503)
    assert len(place.seen) == count
    assert Client(place.front, place.public.root).get("shop.example.com").status == 200, "the other gateway goes on"
    place.hosts.start_agent("second")
    assert wait_for(lambda: place.call("web", "bank")[0] == 200)


def test_an_adapter_gives_an_old_endpoint_a_modern_face(place: Place) -> None:
    assert wait_for(lambda: place.call("web", "ledger", "/book")[0] == 200)
    assert place.call("web", "ledger", "/book") == (200, "old\n")
    assert place.seen[-1].startswith("TLSv1.2 GET /book HTTP/1.1 chunks=False")
    with Client(place.hosts.mesh_port("first", "ledger"), shows=place.identity("first", "web")).connect(
        "ledger"
    ) as modern:
        assert modern.version() == "TLSv1.3"
    assert wait_for(lambda: place.call("web", "older")[0] == 200)
    assert place.seen[-1].startswith("TLSv1.1 ")
    assert place.call("web", "modern-only")[0] == 503, "old versions are spoken only where somebody says so"


def test_a_weak_hop_is_said_aloud(place: Place) -> None:
    checked = run("mesh", "check", "-f", str(place.hosts.folder / "handsel.yaml"))
    assert "the hop from older to 127.0.0.1" in checked.stdout + checked.stderr
    assert "the hop from ledger" not in checked.stdout + checked.stderr


def test_an_ambassador_calls_and_listens_to_nobody(place: Place) -> None:
    assert wait_for(lambda: place.call("till", "web")[0] == 200)
    with pytest.raises(ConnectionRefusedError):
        Client(place.hosts.mesh_port("first", "till")).connect("till")
    with Client(place.hosts.mesh_port("first", "web"), shows=place.identity("first", "till")).connect("web") as control:
        assert control.version() == "TLSv1.3"


def test_a_credential_is_only_where_it_is_used_and_a_newer_one_is_taken(place: Place) -> None:
    client = Client(place.front, place.public.root)
    before = client.get("shop.example.com").certificate
    delivered = [settings.runtime_folder(place.hosts.folder / host) / "secrets" for host in ("first", "second")]
    assert [any(folder.rglob("tls.key")) for folder in delivered] == [False, True]
    place.put("shop-cert", place.public.issue("shop-2", ["shop.example.com"]))
    wait_for(lambda: client.get("shop.example.com").certificate != before, what="the new certificate")


def test_a_gateway_has_no_program(place: Place) -> None:
    refused = run("run", "--service", "front", "--state", str(place.hosts.folder / "second"), "--", "true")
    assert refused.returncode == 1
    assert "front is an ingress gateway: it has no program" in refused.stderr


def test_a_missing_credential_closes_one_callee_alone_and_nothing_goes_out_in_plain(place: Place) -> None:
    state = place.hosts.folder / "fourth"
    place.join_without_waiting("fourth", "late")
    ports = wait_for(lambda: _ports(state, "late"))

    def call(callee: str) -> int:
        try:
            return fetch(f"http://127.0.0.1:{ports[callee]}/")[0]
        except OSError:  # not in sync yet
            return 0

    wait_for(lambda: call("ledger") == 200)
    count = len(place.seen)
    assert call("partner") == 503
    assert call("ledger") == 200
    assert len(place.seen) == count + 1
    client = place.public.issue("partners-client", usage=CLIENT_ONLY)
    place.put("partner-client", client, place.public.root)
    assert wait_for(lambda: call("partner") == 200)
    assert place.seen[-1] == "partners-client partner.system.com"


def test_the_initializer_obtains_certificates_and_ends(place: Place) -> None:
    folder = place.hosts.folder
    made = run("agent", "ticket", "--state", str(place.hosts.server_state), "--services", "once")
    obtained = run(
        "agent",
        "obtain",
        "--state",
        str(folder / "third"),
        "--ticket",
        made.stdout.strip(),
        "--timeout",
        "20s",
        "-o",
        "json",
    )
    assert obtained.returncode == 0, obtained.stderr
    where = place.identity("third", "once")
    assert where.key.stat().st_mode & 0o777 == 0o600
    assert b"BEGIN CERTIFICATE" in where.certificate.read_bytes()
    assert not list((folder / "third").rglob("envoy.json"))
    missing = run("agent", "obtain", "--state", str(folder / "third"), "--services", "once,web", "--timeout", "2s")
    assert missing.returncode == 1
    assert "web: it is not registered to this host (registered: once)" in missing.stderr


def _ports(state: Path, service: str) -> dict[str, int]:
    try:
        found = workload(state, service)
    except StopIteration:
        return {}
    return found["ports"]["callees"] if found["in_sync"] and found["ports"] else {}


def _is_refused(client: Client, name: str) -> bool:
    """Whether the handshake is refused, of which a client of TLS 1.3 hears when it reads."""
    try:
        with client.connect(name, ("h2", "http/1.1")) as connection:
            connection.settimeout(1)
            return not connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True
