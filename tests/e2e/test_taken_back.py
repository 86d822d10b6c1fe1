"""What was given is taken back: a revoked certificate opens nothing more, and what it had open is closed in time."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel.cli.local import call_agent
from tests.e2e.hosts import hosts
from tests.e2e.mesh_process import HTTP_PROGRAM, TCP_PROGRAM, fetch, mesh, run, wait_for, workload

pytestmark = pytest.mark.e2e

_DRAIN_SECONDS = 5.0
_SLACK_SECONDS = 2.0
"""For the machine: what is asserted is the order of magnitude, not its speed."""

MESH = f"""
trust_domain: taken.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [shop, bank]}}
  other: {{command: "{HTTP_PROGRAM}", calls: [shop, bank]}}
  shop: {{command: "{HTTP_PROGRAM}"}}
  bank: {{command: "{TCP_PROGRAM}", protocol: tcp}}
"""


def wait_for_end(connection: socket.socket) -> None:
    """Until the other side has closed; `TimeoutError` when it lives on. The bank says nothing more by itself."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(4096):
            pass


class Stolen:
    """The key and certificate of a service on a host, used by somebody else."""

    def __init__(self, state: Path, service: str, folder: Path) -> None:
        self.chain, key = folder / f"{service}.crt", folder / f"{service}.key"
        there = state / "agent" / "workloads" / service
        shutil.copy(there / "identity.crt", self.chain)
        shutil.copy(there / "identity.key", key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False  # the peer has a SPIFFE ID
        self._context.load_verify_locations(state / "agent" / "roots.crt")
        self._context.load_cert_chain(self.chain, key)

    @contextlib.contextmanager
    def connection(self, port: int) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=_DRAIN_SECONDS + _SLACK_SECONDS) as plain,
            self._context.wrap_socket(plain) as connection,
        ):
            yield connection

    def is_taken(self, port: int) -> bool:
        """Whether the bank's greeting is heard: a server of TLS 1.3 refuses only after the client's handshake."""
        try:
            with self.connection(port) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False


def test_a_revoked_certificate_is_refused_within_a_second_and_what_it_has_open_is_closed(tmp_path: Path) -> None:
    with mesh(MESH) as running:
        port = running.workload("bank")["ports"]["mesh"]
        thief = Stolen(running.state, "web", tmp_path)
        honest = socket.create_connection(("127.0.0.1", running.workload("other")["ports"]["callees"]["shop"]))
        with thief.connection(port) as open_before, honest:
            assert open_before.recv(1)
            assert thief.is_taken(port)

            revoked = run(
                "cert", "revoke", str(thief.chain), "--reason", "key-compromise", "--state", str(running.state)
            )
            began = time.monotonic()
            assert revoked.returncode == 0, revoked.stderr
            wait_for(lambda: not thief.is_taken(port), 1 + _SLACK_SECONDS, "a refusal")
            refused_after = time.monotonic() - began
            wait_for_end(open_before)
            closed_after = time.monotonic() - began
        assert refused_after < 1 + _SLACK_SECONDS
        assert closed_after < _DRAIN_SECONDS + _SLACK_SECONDS
        # The service itself has another certificate by now, and goes on.
        wait_for(lambda: fetch(running.url("web", "shop"))[0] == 200, what="a call of web")
        assert fetch(running.url("other", "shop"))[0] == 200
        assert Stolen(running.state, "web", tmp_path).is_taken(port)


def test_what_is_open_to_a_revoked_callee_is_closed_too(tmp_path: Path) -> None:
    with mesh(MESH) as running:
        stolen = Stolen(running.state, "bank", tmp_path)
        port = running.workload("web")["ports"]["callees"]["bank"]
        with socket.create_connection(("127.0.0.1", port), timeout=_DRAIN_SECONDS + _SLACK_SECONDS) as open_before:
            assert open_before.recv(100)
            revoked = run("cert", "revoke", str(stolen.chain), "--state", str(running.state))
            began = time.monotonic()
            assert revoked.returncode == 0, revoked.stderr
            assert open_before.recv(100) == b""
            assert time.monotonic() - began < _DRAIN_SECONDS + _SLACK_SECONDS
        with socket.create_connection(("127.0.0.1", port), timeout=5) as again:
            assert again.recv(100)


def test_a_banned_host_gets_nothing_more_and_what_it_held_is_refused(tmp_path: Path) -> None:
    with hosts(MESH) as apart:
        bad, good = apart.join("bad", "web", "shop"), apart.join("good", "other", "bank")
        apart.program("good", "bank", TCP_PROGRAM)
        port = workload(good, "bank")["ports"]["mesh"]
        thief = Stolen(bad, "web", tmp_path)
        by_its_proxy = apart.callee_port("bad", "web", "bank")
        wait_for(lambda: _greets(by_its_proxy), what="a call from the host that will be banned")
        with thief.connection(port) as open_before:
            assert open_before.recv(1)

            banned = run("agent", "ban", apart.agent_id("bad"), "--cause", "lost", "--state", str(apart.server_state))
            began = time.monotonic()
            assert banned.returncode == 0, banned.stderr
            wait_for(lambda: not thief.is_taken(port), 1 + _SLACK_SECONDS, "a refusal")
            wait_for_end(open_before)
            assert time.monotonic() - began < _DRAIN_SECONDS + _SLACK_SECONDS
        assert not _greets(by_its_proxy)
        # Its agent is told why, and has no other certificate.
        wait_for(lambda: "banned" in call_agent(bad, "GET", "/v1/status")["server_problem"], what="why")
        assert Stolen(bad, "web", tmp_path).chain.read_bytes() == thief.chain.read_bytes()
        # The others go on.
        assert _greets(apart.callee_port("good", "other", "bank"))


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
