"""What an agent makes of a CA that is none, and how it answers challenges."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import socket
import ssl
import sys
import threading
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509

from handsel.agent.adapters.acme import orders as acme_orders
from handsel.agent.adapters.acme.challenges import Answer, Challenges, challenge_certificate
from handsel.agent.adapters.acme.client import CaSession
from handsel.agent.adapters.acme.records import AcmeRecords
from handsel.agent.adapters.acme.transport import retry_after
from handsel.errors import HandselError, ProtocolError, StateError, Unreachable
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from tests.e2e.mesh_process import free_port
from tests.support import TestAuthority, write_pair

ONE = Answer("shop.test", "token-1", "token-1.thumb")


@dataclass(frozen=True)
class Said:
    status: int
    body: bytes = b""
    location: str = ""


def meet(folder: Path, said: Said) -> HandselError | None:
    """What becomes of a conversation with somebody who answers so."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(said.status)
            self.send_header("Content-Length", str(len(said.body)))
            self.send_header("Location", said.location)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(said.body)

        def log_message(self, *_: object) -> None:
            pass

    authority = TestAuthority.make(datetime.now(UTC))
    pair = authority.pair(authority.trust_domain.server, ip_names=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, "ca", pair))
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url, roots = f"https://127.0.0.1:{server.server_port}/dir", authority.issuer.root.pem.decode()
        try:
            CaSession(url, roots, PrivateKey.generate(), threading.Event()).close()
        except HandselError as error:
            return error
        finally:
            server.shutdown()
    return None


DIRECTORY = json.dumps({each: f"https://ca.test/{each}" for each in ("newNonce", "newAccount", "newOrder")}).encode()


def test_a_directory_is_enough_to_begin(tmp_path):
    """The control of the refusals below."""
    assert meet(tmp_path, Said(200, DIRECTORY)) is None


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Said(200, b"hello"), ProtocolError, "no ACME"),
        (Said(200, b"[1]"), ProtocolError, "no ACME"),
        (Said(200, b"{" * 2_000_000), Unreachable, "more than 1048576 bytes"),
        (Said(500), ProtocolError, "no ACME"),
        (Said(302, location="http://127.0.0.1:1/dir"), Unreachable, "does not answer"),
        (Said(302, location="file:///etc/passwd"), Unreachable, "does not answer"),
    ],
    ids=["text", "list", "large", "broken", "plain-http", "file"],
)
def test_whatever_else_answers_is_an_error_in_a_line(tmp_path, answer, kind, message):
    error = meet(tmp_path, answer)
    assert type(error) is kind
    assert message in str(error)
    assert "\n" not in str(error)


def test_proxies_of_the_environment_are_not_asked(tmp_path, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert meet(tmp_path, Said(200, DIRECTORY)) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [("120", timedelta(seconds=120)), ("", None), ("soon", None), ("-5", None), ("9" * 40, None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta())],
    ids=["seconds", "nothing", "word", "negative", "endless", "past"],
)  # fmt: skip
def test_retry_after_is_read(said, expected):
    answered = requests.Response()
    answered.headers["Retry-After"] = said
    assert retry_after(answered) == expected


# Challenges


def fetch(port: int, path: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_only_open_challenges_are_answered_and_the_door_is_shut_afterwards():
    port, answering = free_port(), Challenges()
    other = Answer("www.test", "token-2", "token-2.thumb")
    path = "/.well-known/acme-challenge/"
    with answering.answered("http-01", ("127.0.0.1", port), [ONE]):
        with answering.answered("http-01", ("127.0.0.1", port), [other]):
            assert fetch(port, f"{path}token-1") == (200, b"token-1.thumb")
            assert fetch(port, f"{path}token-2") == (200, b"token-2.thumb")
        assert fetch(port, f"{path}token-2")[0] == 404
        for wrong in (path, "/", "/token-1", f"{path}token-1/..", f"{path}../token-1"):
            assert fetch(port, wrong)[0] == 404
        assert fetch(port, f"{path}token-1")[0] == 200
    with pytest.raises(OSError):
        fetch(port, f"{path}token-1")


def test_without_an_address_every_address_is_listened_at():
    port = free_port()
    with Challenges().answered("http-01", ("", port), [ONE]):
        assert fetch(port, "/.well-known/acme-challenge/token-1")[0] == 200


def test_many_idle_connections_do_not_keep_the_ca_out():
    port = free_port()
    with Challenges().answered("http-01", ("127.0.0.1", port), [ONE]), contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert fetch(port, "/.well-known/acme-challenge/token-1")[0] == 200


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answering = Challenges().answered("http-01", taken.getsockname(), [ONE])
        with pytest.raises(StateError, match="cannot be answered at 127"):
            answering.__enter__()


@pytest.mark.parametrize(
    ("name", "sni"),
    [("shop.test", "shop.test"), ("10.0.0.1", "1.0.0.10.in-addr.arpa")],
    ids=["name", "address"],
)
def test_tls_alpn_shows_the_one_name_to_who_asks_for_it(name, sni):
    """RFC 8737, section 3; RFC 8738, section 6."""
    port, answer = free_port(), Answer(name, "t", "t.thumb")
    with Challenges().answered("tls-alpn-01", ("127.0.0.1", port), [answer]):
        leaf, protocol = handshake(port, sni)
        assert protocol == "acme-tls/1"
        assert [*leaf.dns_names, *leaf.ip_names] == [name]
        found = leaf.parsed.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        assert found.critical
        assert found.value.value == b"\x04\x20" + hashlib.sha256(b"t.thumb").digest()
        with pytest.raises(OSError):
            handshake(port, "other.test")


def handshake(port: int, sni: str) -> tuple[Certificate, str | None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=sni) as secure,
    ):
        return Certificate(secure.getpeercert(binary_form=True) or b""), secure.selected_alpn_protocol()


def test_the_certificate_of_a_challenge_is_signed_by_itself():
    key = PrivateKey.generate()
    made = challenge_certificate(ONE, key, datetime.now(UTC))
    made.parsed.verify_directly_issued_by(made.parsed)
    assert made.public_key_der == key.public_der()


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "handsel.agent.adapters.acme.client", None)
    with pytest.raises(StateError) as error:
        acme_orders._session()
    assert "handsel[acme]" in error.value.next_step


# What is kept


def test_an_account_is_kept_for_its_ca_and_its_key_before_it_is_used(tmp_path):
    records = AcmeRecords(tmp_path / "acme")
    first = records.account("https://ca.test/dir")
    assert AcmeRecords(tmp_path / "acme").account("https://ca.test/dir").key.public_der() == first.key.public_der()
    other = records.account("https://other.test/dir")
    assert (other.key.public_der() == first.key.public_der(), other.url) == (False, "")
    assert (tmp_path / "acme" / "account.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "acme").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"key": 5}', b"\xff"], ids=range(5))
def test_what_cannot_be_read_is_not_there(tmp_path, content):
    records = AcmeRecords(tmp_path)
    for name in ("held.json", "account.json"):
        (tmp_path / name).write_bytes(content)
    assert records.held() is None
    assert records.account("https://ca.test/dir").url == ""
