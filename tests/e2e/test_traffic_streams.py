"""What is more than a request and its answer: WebSocket, gRPC, plain TCP, TLS of the programs' own.

In one mesh every hop is looked into (HTTP/2 between the proxies), in the other none that needs it not.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.mesh_process import Mesh, free_port, mesh, wait_for
from tests.support import TRUST_DOMAIN, TestAuthority, write_pair

pytestmark = pytest.mark.e2e

PROGRAMS = Path(__file__).parent / "programs"
HTTP, GRPC = f"{sys.executable} {PROGRAMS / 'tells_all.py'}", f"{sys.executable} {PROGRAMS / 'grpc_tells.py'}"
TEXT = """
services:
  web: {{calls: [chat, votes, store, secure]}}
  chat: {{command: {http} chat}}
  votes-1: {{protocol: grpc, command: {grpc} one}}
  votes-2: {{protocol: grpc, command: {grpc} two}}
external:
  left: {{host: left.example, protocol: tcp, endpoints: ["127.0.0.1:{left}"], tls: {{mode: disable}}}}
  right: {{host: right.example, protocol: tcp, endpoints: ["127.0.0.1:{right}"], tls: {{mode: disable}}}}
routes:
  chat: [{{to: chat, timeout: 400ms}}]
  votes:
    - {{when: {{headers: {{x-version: "2"}}}}, to: votes-2}}
    - {{when: {{path: /test.Tells/Broken}}, to: votes-1, fault: {{abort: {{grpc: RESOURCE_EXHAUSTED}}}}}}
    - {{when: {{path: /test.Tells/Again}}, to: votes-1, retries: {{attempts: 3, on: [unavailable], backoff: 10ms}}}}
    - {{to: votes-1}}
  store: [{{to: {{left: 50, right: 50}}}}]
  secure:
    - {{when: {{server_name: left.example}}, to: left}}
    - {{when: {{server_name: "*.right.example"}}, to: right}}
telemetry: {{requests: {seen}}}
"""


@pytest.fixture(scope="module")
def third_parties(authority: TestAuthority, tmp_path_factory) -> Iterator[tuple[int, int]]:
    """Two servers that say their name to whoever connects, in TLS to those who begin with it."""
    folder = tmp_path_factory.mktemp("pairs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, "third", authority.pair(TRUST_DOMAIN.workload("default", "third"))))
    with contextlib.ExitStack() as stack:
        ports = []
        for name in (b"left", b"right"):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
            threading.Thread(target=_serve, args=(listening, context, name), daemon=True).start()
            ports.append(listening.getsockname()[1])
        yield ports[0], ports[1]


def _serve(listening: socket.socket, context: ssl.SSLContext, name: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, context, name), daemon=True).start()


def _answer(connection: socket.socket, context: ssl.SSLContext, name: bytes) -> None:
    with contextlib.suppress(OSError), connection:
        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
            connection.recv(1)
            connection.sendall(name)
            return
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(name)


@pytest.fixture(scope="module", params=["true", "false"], ids=["layer 7", "layer 4"])
def running(request, third_parties) -> Iterator[Mesh]:
    left, right = third_parties
    text = TEXT.format(http=HTTP, grpc=GRPC, left=left, right=right, seen=request.param)
    with mesh(text) as running:
        wait_for(lambda: _say(running))
        yield running


def _port(running: Mesh, callee: str) -> int:
    return int(running.workload("web")["ports"]["callees"][callee])


def _say(running: Mesh, method: str = "Say", **metadata: str) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{_port(running, 'votes')}", [("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(f"/test.Tells/{method}")
        said = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        answer: bytes = call(b"", metadata=said, timeout=10, wait_for_ready=True)
        return answer.decode()


def test_a_websocket_lives_through_both_proxies_and_longer_than_the_timeout(running):
    with socket.create_connection(("127.0.0.1", _port(running, "chat")), timeout=5) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /chat HTTP/1.1", "host: chat", "connection: Upgrade", "upgrade: websocket"]
        lines += [f"sec-websocket-key: {key}", "sec-websocket-version: 13", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 101"), head
        for word in (b"hello", b"again"):
            connection.sendall(bytes((0x81, 0x80 | len(word))) + b"\0\0\0\0" + word)
            assert connection.recv(64)[-len(word) :] == word
            time.sleep(0.6)


def test_grpc_is_routed_by_metadata(running):
    assert _say(running).startswith("one")
    assert _say(running, x_version="2").startswith("two")


def test_grpc_fails_on_purpose_with_its_own_status(running):
    with pytest.raises(grpc.RpcError) as refused:
        _say(running, "Broken")
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_grpc_is_tried_again_where_that_was_said_and_not_elsewhere(running):
    assert _say(running, "Again", fail_first="2", id="again") == "one 3"
    with pytest.raises(grpc.RpcError) as refused:
        _say(running, "Say", fail_first="1", id="once")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert _say(running, "Say", id="once") == "one 2"


def test_connections_are_shared_by_weight(running):
    found = [_first_bytes(_port(running, "store")) for _ in range(40)]
    assert set(found) == {b"left", b"right"}
    assert min(found.count(each) for each in set(found)) > 5


def _first_bytes(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"x")
        return connection.recv(16)


@pytest.mark.parametrize(("name", "who"), [("left.example", b"left"), ("a.right.example", b"right")])
def test_tls_of_the_programs_own_is_routed_by_its_server_name(running, name, who):
    assert _first_secure_bytes(_port(running, "secure"), name) == who


@pytest.mark.parametrize("name", ["other.example", "right.example"])
def test_tls_for_another_name_goes_nowhere(running, name):
    with pytest.raises(OSError):
        _first_secure_bytes(_port(running, "secure"), name)


def _first_secure_bytes(port: int, name: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.recv(16)
