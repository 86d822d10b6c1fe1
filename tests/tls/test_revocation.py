"""Revocation, which Python's own module does not look at: by lists in files and at addresses, and by responders."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.pki.certificate import Certificate, to_pem
from tests.e2e.mesh_process import free_port
from tests.support import TestAuthority
from tests.tls.world import World, say, serving

ONE_WAY = "{key_store: {path: server.pem}}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.issue("server")
    return made


def _list(
    world: World, *revoked: Certificate, ends: timedelta = timedelta(hours=1), by: TestAuthority | None = None
) -> bytes:
    now = datetime.now(UTC)
    issuer = (by or world.authority).issuer
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.parsed.subject)
        .last_update(now - timedelta(days=1))
        .next_update(now + ends)
    )
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.parsed.serial_number).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key.handle, hashes.SHA256()).public_bytes(Encoding.PEM)


def _client(world: World, revocation: str) -> ssl.SSLContext:
    return world.context("c", f"{{trust_store: {{path: roots.pem}}, revocation: {revocation}}}").client()


def _said(port: int, client: ssl.SSLContext) -> str:
    """What a client that refuses says; empty when it gets through."""
    try:
        say(port, client)
    except ssl.SSLCertVerificationError as error:
        return str(error)
    return ""


def test_a_server_on_a_list_is_refused_and_one_that_is_not_gets_through(world: World) -> None:
    with serving(world.context("orders", ONE_WAY).server()) as port:
        world.write("ca.crl", _list(world))
        assert _said(port, _client(world, "{crl: [ca.crl]}")) == ""
        world.write("ca.crl", _list(world, world.issued["server"]))
        assert "certificate revoked" in _said(port, _client(world, "{crl: [ca.crl]}"))


def test_a_new_list_counts_without_a_restart(world: World) -> None:
    world.write("ca.crl", _list(world))
    with serving(world.context("orders", ONE_WAY).server()) as port:
        client = _client(world, "{crl: [ca.crl]}")
        assert _said(port, client) == ""
        world.write("ca.crl", _list(world, world.issued["server"]))
        time.sleep(1.1)
        assert "certificate revoked" in _said(port, client)


def test_a_client_on_a_list_is_refused_by_the_server(world: World) -> None:
    world.issue("client", dns=("billing.internal",))
    config = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}, revocation: {crl: [ca.crl]}}"
    for revoked, through in (((), True), ((world.issued["client"],), False)):
        world.write("ca.crl", _list(world, *revoked))
        with serving(world.context("orders", config).server()) as port:
            known = "{key_store: {path: client.pem}, trust_store: {path: roots.pem}}"
            client = world.context("c", known).client()
            if through:
                assert say(port, client)
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    say(port, client)


@pytest.mark.parametrize("what", ["ended", "of another issuer", "forged"])
def test_what_says_nothing_refuses_when_failure_is_hard_and_warns_when_it_is_soft(world: World, what: str) -> None:
    other = TestAuthority.make(datetime.now(UTC))
    made = {
        "ended": lambda: _list(world, ends=timedelta(seconds=-60)),
        "of another issuer": lambda: _list(world, by=TestAuthority.make(datetime.now(UTC), _other_domain())),
        "forged": lambda: _list(world, by=other),  # the same name, another key
    }[what]()
    world.write("ca.crl", made)
    with serving(world.context("orders", ONE_WAY).server()) as port:
        assert "nothing is known" in _said(port, _client(world, "{crl: [ca.crl]}"))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert _said(port, _client(world, "{crl: [ca.crl], failure: soft}")) == ""
        assert any("let through" in str(each.message) for each in seen)


def _other_domain() -> object:
    from handsel.pki.names import TrustDomain

    return TrustDomain("other.internal")


@contextmanager
def _web(files: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_list_at_an_address_is_fetched(world: World) -> None:
    with serving(world.context("orders", ONE_WAY).server()) as port:
        with _web({"/ca.crl": _list(world)}) as url:
            assert _said(port, _client(world, f"{{crl: ['{url}/ca.crl']}}")) == ""
        with _web({"/ca.crl": _list(world, world.issued["server"])}) as url:
            assert "certificate revoked" in _said(port, _client(world, f"{{crl: ['{url}/ca.crl']}}"))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            assert "nothing is known" in _said(port, _client(world, f"{{crl: ['{url}/ca.crl'], timeout: 1s}}"))


@contextmanager
def _responder(world: World, *, revoked: bool) -> Iterator[str]:
    """OpenSSL's responder, signing with the issuing CA's own key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    leaf = world.issued["server"]
    serial = leaf.serial.upper()
    now, ends = datetime.now(UTC), leaf.not_after
    standing = f"R\t{ends:%y%m%d%H%M%SZ}\t{now:%y%m%d%H%M%SZ}" if revoked else f"V\t{ends:%y%m%d%H%M%SZ}\t"
    world.write("index.txt", f"{standing}\t{serial if len(serial) % 2 == 0 else '0' + serial}\tunknown\t/\n".encode())
    world.write("ca.pem", to_pem(world.issuer.chain))
    world.write("ca.key", world.issuer.key.pem().reveal())
    port = free_port()
    process = subprocess.Popen(
        ["openssl", "ocsp", "-index", "index.txt", "-port", str(port), "-rsigner", "ca.pem", "-rkey", "ca.key",
         "-CA", "ca.pem", "-nmin", "5", "-ignore_err"],
        cwd=world.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(5)


@pytest.mark.parametrize(("revoked", "said"), [(False, ""), (True, "certificate revoked")])
def test_a_responder_is_asked(world: World, revoked: bool, said: str) -> None:
    with serving(world.context("orders", ONE_WAY).server()) as port, _responder(world, revoked=revoked) as url:
        found = _said(port, _client(world, f"{{responder: '{url}'}}"))
    assert said in found
    assert bool(said) == bool(found)


def test_a_responder_that_is_away_refuses_or_warns_as_declared(world: World) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with serving(world.context("orders", ONE_WAY).server()) as port:
        assert "does not answer" in _said(port, _client(world, f"{{responder: '{away}', timeout: 1s}}"))
        with pytest.warns(RuntimeWarning, match="let through"):
            assert _said(port, _client(world, f"{{responder: '{away}', timeout: 1s, failure: soft}}")) == ""
