"""`handsel cert handshake` against real servers: what is told is what happened, and the exit code says it too."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from handsel.pki.certificate import to_pem
from handsel.pki.names import SpiffeId
from tests.e2e.mesh_process import HTTP_PROGRAM, fetch, free_port, mesh, run, short_folder, wait_for
from tests.support import TRUST_DOMAIN, TestAuthority, write_pair

pytestmark = pytest.mark.e2e

CLIENT = SpiffeId(TRUST_DOMAIN, "/ns/default/sa/client")
SERVER = SpiffeId(TRUST_DOMAIN, "/ns/default/sa/server")


@dataclass(frozen=True)
class Desk:
    """A folder with roots, a server's pair, and clients' pairs by a known and by an unknown authority."""

    folder: Path

    def handshake(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = run("cert", "handshake", *arguments, "-o", "json", cwd=self.folder)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pair(self, name: str) -> tuple[str, str]:
        return "--client-cert", f"{name}.both"


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    now = datetime.now(UTC)
    known, stranger = TestAuthority.make(now - timedelta(days=4)), TestAuthority.make(now)
    with short_folder() as folder:
        (folder / "roots.pem").write_bytes(to_pem((known.issuer.root,)))
        (folder / "stranger.pem").write_bytes(to_pem((stranger.issuer.root,)))
        old = now - timedelta(days=3)
        for name, pair in {
            "server": known.pair(SERVER, dns_names=("shop.test",), ip_names=("127.0.0.1",), now=now),
            "expired": known.pair(SERVER, ip_names=("127.0.0.1",), now=old),
            "client": known.pair(CLIENT, now=now),
            "unknown": stranger.pair(CLIENT),
        }.items():
            chain, key = write_pair(folder, name, pair)
            (folder / f"{name}.rest").write_bytes(to_pem(pair.chain[1:]))
            (folder / f"{name}.both").write_bytes(key.read_bytes() + chain.read_bytes())
        yield Desk(folder)


@contextlib.contextmanager
def s_server(desk: Desk, pair: str, *arguments: str) -> Iterator[str]:
    """OpenSSL's own server; its standard input stays open, since it ends a connection when that ends."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    port = free_port()
    process = subprocess.Popen(
        [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-key", f"{pair}.key", "-cert", f"{pair}.crt",
         "-cert_chain", f"{pair}.rest", "-quiet", *arguments],
        cwd=desk.folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _listens(port), what="openssl s_server")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def _listens(port: int) -> bool:
    """Whether something does, without a connection: s_server takes one after another."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


@contextlib.contextmanager
def answers(reply: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does this with every connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    reply(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(timeout=5)


MUTUAL = ("-Verify", "3", "-verify_return_error", "-CAfile", "roots.pem")


def _titles(shown: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["from"], step["message"]) for step in shown["steps"] if step["from"]]


def test_tls_13_one_way_step_by_step(desk: Desk) -> None:
    with s_server(desk, "server", "-num_tickets", "0") as address:
        shown = desk.handshake(address, "--roots", "roots.pem")
    assert _titles(shown) == [
        ("client", "ClientHello"), ("server", "ServerHello"), ("server", "EncryptedExtensions"),
        ("server", "Certificate"), ("server", "CertificateVerify"), ("server", "Finished"), ("client", "Finished"),
    ]  # fmt: skip
    assert (shown["version"], shown["result"], shown["round_trips"]) == ("TLS 1.3", "trusted", 2)
    assert [step["encrypted"] for step in shown["steps"] if step["from"]] == [False, False, *[True] * 5]
    assert shown["client_certificate"]["asked"] is False
    assert shown["one_way"] is None


def test_tls_12_step_by_step(desk: Desk) -> None:
    with s_server(desk, "server", "-no_ticket") as address:
        shown = desk.handshake(address, "--roots", "roots.pem", "--tls", "1.2")
    assert [title for _, title in _titles(shown)] == [
        "ClientHello", "ServerHello", "Certificate", "ServerKeyExchange", "ServerHelloDone", "ClientKeyExchange",
        "ChangeCipherSpec", "Finished", "ChangeCipherSpec", "Finished",
    ]  # fmt: skip
    assert (shown["version"], shown["group"], shown["round_trips"]) == ("TLS 1.2", "X25519", 3)
    hidden = [step["message"] for step in shown["steps"] if step["encrypted"]]
    assert hidden == ["Finished", "Finished"]


def test_another_group_costs_a_round_trip(desk: Desk) -> None:
    with s_server(desk, "server", "-groups", "P-384") as address:
        shown = desk.handshake(address, "--roots", "roots.pem")
    assert ("server", "HelloRetryRequest") in _titles(shown)
    assert _titles(shown).count(("client", "ClientHello")) == 2
    assert (shown["group"], shown["round_trips"]) == ("P-384", 3)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_good_client_gets_in_and_one_without_a_certificate_does_not(desk: Desk, version: str) -> None:
    with s_server(desk, "server", *MUTUAL) as address:
        shown = desk.handshake(address, "--roots", "roots.pem", *desk.pair("client"), "--tls", version)
    assert shown["result"] == "trusted"
    client = shown["client_certificate"]
    assert (client["asked"], client["shown"]) == (True, True)
    assert client["authorities"], "the server names the root that it takes"
    assert "not refused" in client["outcome"] if version == "1.3" else "accepted" in client["outcome"]
    assert shown["one_way"]["client_certificate"]["shown"] is False
    rows = {row["what"]: (row["one_way"], row["two_way"]) for row in shown["comparison"]}
    assert rows["outcome"] == ("REFUSED", "let in")
    assert rows["client proves its key"] == ("no", "yes, by a signature")
    assert "insists on a client certificate" in shown["verdict"]


def test_an_unknown_client_is_refused_after_the_handshake_in_tls_13(desk: Desk) -> None:
    with s_server(desk, "server", *MUTUAL) as address:
        shown = desk.handshake(address, "--roots", "roots.pem", *desk.pair("unknown"), "--tls", "1.3", code=1)
    assert shown["result"] == "client certificate refused"
    assert "after the handshake" in shown["verdict"]
    assert "unknown_ca" in shown["verdict"]
    titles = _titles(shown)
    assert titles.index(("server", "Alert unknown_ca")) > titles.index(("client", "Finished"))
    assert shown["milliseconds"] is not None, "the handshake itself was done"


def test_an_unknown_client_is_refused_within_the_handshake_in_tls_12(desk: Desk) -> None:
    with s_server(desk, "server", *MUTUAL) as address:
        shown = desk.handshake(address, "--roots", "roots.pem", *desk.pair("unknown"), "--tls", "1.2", code=1)
    assert shown["result"] == "client certificate refused"
    assert "within the handshake" in shown["verdict"]
    assert ("server", "Finished") not in _titles(shown)
    assert shown["milliseconds"] is None


def test_a_server_that_asks_and_does_not_insist(desk: Desk) -> None:
    with s_server(desk, "server", "-verify", "3", "-CAfile", "roots.pem") as address:
        shown = desk.handshake(address, "--roots", "roots.pem", *desk.pair("client"))
        alone = desk.handshake(address, "--roots", "roots.pem", "--client-cert", "none")
    assert "lets in a client without one too" in shown["verdict"]
    assert alone["one_way"] is None
    assert alone["client_certificate"]["shown"] is False


def test_none_beside_a_certificate_compares_even_when_nobody_asks(desk: Desk) -> None:
    with s_server(desk, "server") as address:
        arguments = ("--roots", "roots.pem", *desk.pair("client"))
        alone = desk.handshake(address, *arguments)
        both = desk.handshake(address, *arguments, "--client-cert", "none")
    assert alone["one_way"] is None
    assert any("did not ask" in note for note in alone["notes"])
    assert both["one_way"] is not None
    assert "asks no client" in both["verdict"]


@pytest.mark.parametrize(
    ("pair", "arguments", "result", "reason"),
    [
        pytest.param("expired", ("--roots", "roots.pem"), "untrusted", "expired", id="expired"),
        pytest.param("server", ("--roots", "stranger.pem"), "untrusted", "not among the roots in", id="other-root"),
        pytest.param("server", (), "untrusted", "the machine's roots", id="machine-roots"),
        pytest.param("server", ("--roots", "roots.pem", "--server-name", "bank.test"), "wrong name",
                     "not for bank.test", id="wrong-name"),
        pytest.param("server", ("--roots", "roots.pem", "--server-name", f"{SERVER}x"), "wrong name",
                     "not for spiffe://", id="wrong-spiffe-id"),
    ],
)  # fmt: skip
def test_who_cannot_be_believed_is_shown_whole(
    desk: Desk, pair: str, arguments: tuple[str, ...], result: str, reason: str
) -> None:
    with s_server(desk, pair) as address:
        shown = desk.handshake(address, *arguments, code=1)
    assert shown["result"] == result
    assert reason in shown["verdict"]
    assert shown["fix"]
    certificate = next(step for step in shown["steps"] if step["message"] == "Certificate")
    assert len(certificate["details"]["chain"]) == 2
    assert certificate["problem"]
    assert ("client", "Finished") in _titles(shown)
    assert any("no data was sent" in note for note in shown["notes"])


@pytest.mark.parametrize("name", ["shop.test", str(SERVER), "127.0.0.1"], ids=["dns", "spiffe", "address"])
def test_every_kind_of_name_can_be_right(desk: Desk, name: str) -> None:
    with s_server(desk, "server") as address:
        shown = desk.handshake(address, "--roots", "roots.pem", "--server-name", name)
    hello = next(step for step in shown["steps"] if step["message"] == "ClientHello")
    assert hello["details"]["server name"].startswith("shop.test" if name == "shop.test" else "none")


def test_a_server_without_a_common_version_says_so(desk: Desk) -> None:
    with s_server(desk, "server", "-tls1_2") as address:
        shown = desk.handshake(address, "--tls", "1.3", code=1)
    assert shown["result"] == "refused"
    assert "protocol_version" in shown["verdict"]
    assert "--tls 1.2" in shown["fix"]


def test_a_context_of_the_mesh_file_can_ask(desk: Desk) -> None:
    (desk.folder / "handsel.yaml").write_text(yaml.safe_dump({"contexts": {"shop": {
        "key_store": {"path": "client.both"}, "trust_store": {"path": "roots.pem"}, "protocols": ["TLSv1.3"],
        "peers": [str(SERVER)],
    }}}))  # fmt: skip
    with s_server(desk, "server", *MUTUAL) as address:
        shown = desk.handshake(address, "--context", "shop", "-f", "handsel.yaml")
    assert (shown["result"], shown["client_certificate"]["shown"]) == ("trusted", True)


# What does not speak TLS


def _breaks(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00")
    connection.recv(4096)


def _hangs(connection: socket.socket) -> None:
    time.sleep(2.5)


@pytest.mark.parametrize(
    ("reply", "result", "sentence"),
    [
        pytest.param(lambda each: each.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "not TLS", "SSH", id="ssh"),
        pytest.param(lambda each: each.sendall(b"220 mail ESMTP\r\n"), "not TLS", "SMTP", id="smtp"),
        pytest.param(lambda each: each.sendall(b"\x00\x01\x02garbage"), "not TLS", "no protocol", id="garbage"),
        pytest.param(_breaks, "failed", "cannot be read as TLS", id="broken-record"),
        pytest.param(lambda each: each.recv(4096) and None, "closed", "closed the connection", id="closes"),
        pytest.param(_hangs, "silent", "nothing came", id="silent"),
    ],
)  # fmt: skip
def test_what_is_no_tls_is_named(
    desk: Desk, reply: Callable[[socket.socket], None], result: str, sentence: str
) -> None:
    with answers(reply) as address:
        shown = desk.handshake(address, "--timeout", "2s", code=1)
    assert shown["result"] == result
    assert sentence in shown["verdict"]
    assert shown["fix"]
    assert shown["steps"][-1]["problem"]


def test_a_plain_http_server_is_named(desk: Desk) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            shown = desk.handshake(f"127.0.0.1:{server.server_port}", code=1)
        finally:
            server.shutdown()
            thread.join()
    assert shown["result"] == "not TLS"


def test_what_is_not_there_is_unreachable(desk: Desk) -> None:
    shown = desk.handshake(f"127.0.0.1:{free_port()}", code=4)
    assert (shown["result"], len(shown["steps"])) == ("unreachable", 1)
    assert "refused" in shown["verdict"]
    shown = desk.handshake("nothing.invalid:443", "--timeout", "5s", code=4)
    assert shown["result"] == "unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        ("shop",), ("shop:0",), ("shop:http",), (":443",), ("a b:443",), ("::1:443",), ("shop:443", "--timeout", "0s"),
        ("shop:443", "--client-key", "client.key"), ("shop:443", "--server-name", "spiffe://"),
        ("shop:443", "--roots", "nothing.pem"), ("shop:443", "--alpn", ","),
        ("shop:443", "--client-cert", "client.both", "--client-cert", "unknown.both"),
    ],
    ids=lambda arguments: "_".join(arguments).replace("/", ""),
)  # fmt: skip
def test_wrong_usage_is_one_line(desk: Desk, arguments: tuple[str, ...]) -> None:
    done = run("cert", "handshake", *arguments, cwd=desk.folder)
    assert done.returncode == 2
    assert done.stderr.startswith("handsel: HS-C002")
    assert "Traceback" not in done.stderr


def test_for_people_it_fits_and_tells_the_same(desk: Desk) -> None:
    with s_server(desk, "server", *MUTUAL) as address:
        done = run("cert", "handshake", address, "--roots", "roots.pem", *desk.pair("client"), cwd=desk.folder)
    assert done.returncode == 0, done.stderr
    assert "from here on encrypted" in done.stdout
    assert "Without and with the client certificate" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


# Our own mesh


def test_an_envoy_of_the_mesh(desk: Desk) -> None:
    text = yaml.safe_dump({"trust_domain": "hands.internal", "services": {
        "web": {"command": HTTP_PROGRAM, "calls": ["shop"]}, "shop": {"command": HTTP_PROGRAM},
    }})  # fmt: skip
    with mesh(text) as running:
        wait_for(lambda: _answered(running.url("web", "shop")), what="a call through the mesh")
        address = f"127.0.0.1:{running.workload('shop')['ports']['mesh']}"
        web = next((running.state / "agent").glob("workloads/web"))
        chain, key = next(web.rglob("*.crt")), next(web.rglob("*.key"))
        name = "spiffe://hands.internal/ns/default/sa/shop"
        both = ("--state", str(running.state), "--server-name", name, "--tls", "1.3")
        shown = desk.handshake(address, *both, "--client-cert", str(chain), "--client-key", str(key), "--alpn", "none")
        bare = desk.handshake(address, *both, code=1)
    assert (shown["result"], shown["client_certificate"]["shown"]) == ("trusted", True)
    assert "insists on a client certificate" in shown["verdict"]
    assert bare["result"] == "client certificate required"
    hybrid = shown["hybrid"] or any("takes it from clients that do" in note for note in shown["notes"])
    assert hybrid, shown["notes"]


def _answered(url: str) -> bool:
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False
