"""Plaintext beside mutual TLS, plaintext only, and the way from one to the other without losing a request."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.mesh_process import HTTP_PROGRAM, TCP_PROGRAM, Mesh, free_port, mesh, run, wait_for

pytestmark = pytest.mark.e2e


def _text(mode: str) -> str:
    return f"""
trust_domain: modes.internal
modes: {{moving: {mode}}}
services:
  web: {{calls: [emoji, store, old, strict, closed]}}
  emoji: {{port: {PORTS[0]}, command: {HTTP_PROGRAM}, mode: permissive}}
  store: {{port: {PORTS[1]}, command: {TCP_PROGRAM}, mode: permissive, protocol: tcp}}
  near:
    port: {PORTS[5]}
    command: {TCP_PROGRAM}
    protocol: tcp
    mode: permissive
    allow: [{{ip_blocks: [127.0.0.0/8], not_ip_blocks: [127.9.0.0/16]}}]
  old: {{port: {PORTS[2]}, command: {HTTP_PROGRAM}, namespace: moving}}
  strict: {{port: {PORTS[3]}, command: {HTTP_PROGRAM}}}
  closed:
    port: {PORTS[4]}
    command: {HTTP_PROGRAM}
    mode: permissive
    allow: [{{from: [web]}}, {{paths: [/public]}}]
"""


PORTS = [free_port() for _ in range(6)]


@pytest.fixture(scope="module")
def up() -> Iterator[Mesh]:
    with mesh(_text("disable"), "--watch") as running:
        for callee in ("emoji", "old", "strict", "closed"):
            wait_for(lambda callee=callee: _call(running, callee) == 200, what=callee)
        yield running


def _get(port: int, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError, TimeoutError):
        return 0
    finally:
        connection.close()


def _call(up: Mesh, callee: str, path: str = "/") -> int:
    """Through both proxies."""
    return _get(up.workload("web")["ports"]["callees"][callee], path)


def _direct(up: Mesh, callee: str, path: str = "/") -> int:
    """In plaintext to the mesh port, as whoever has no proxy."""
    return _get(up.workload(callee)["ports"]["mesh"], path)


def _last(up: Mesh, callee: str) -> dict[str, object]:
    return [line for line in up.access_log(callee) if line["event"].startswith("inbound_")][-1]


def test_a_permissive_port_takes_both_and_our_callers_always_use_tls(up: Mesh) -> None:
    assert (_call(up, "emoji", "/by-tls"), _direct(up, "emoji", "/plain")) == (200, 200)

    def seen() -> set[tuple[str, str]]:
        lines = [line for line in up.access_log("emoji") if line["event"] == "inbound_connected"]
        return {(str(line["peer_uri"]), line.get("plaintext", "no")) for line in lines}

    wanted = {("spiffe://modes.internal/ns/default/sa/web", "no"), ("None", "yes")}
    wait_for(lambda: wanted <= seen(), what=str(seen()))


def test_a_strict_port_takes_no_plaintext(up: Mesh) -> None:
    assert (_call(up, "strict"), _direct(up, "strict")) == (200, 0)


def test_a_server_that_speaks_first_is_heard_soon_also_in_plaintext(up: Mesh) -> None:
    for port in (up.workload("web")["ports"]["callees"]["store"], up.workload("store")["ports"]["mesh"]):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            assert stream.recv(100)
        assert time.monotonic() - began < 3


def test_addresses_that_no_rule_names_are_closed_before_the_server_speaks(up: Mesh) -> None:
    port = up.workload("near")["ports"]["mesh"]

    def banner(source: str) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0)) as stream:
            try:
                return stream.recv(100)
            except ConnectionError:
                return b""

    assert banner("127.0.0.1")
    assert banner("127.9.0.1") == b""
    assert banner("127.8.0.1")


def test_rules_with_identities_do_not_fit_whoever_has_none(up: Mesh) -> None:
    assert _call(up, "closed", "/x") == 200
    assert (_direct(up, "closed", "/public"), _direct(up, "closed", "/x")) == (200, 403)


def test_who_still_calls_without_tls_is_told(up: Mesh) -> None:
    assert (_direct(up, "emoji", "/told"), _call(up, "emoji"), _direct(up, "strict")) == (200, 200, 0)

    def told() -> dict[str, dict[str, object]]:
        done = run("mesh", "plaintext", "-f", str(up.folder / "handsel.yaml"), "--state", str(up.state), "-o", "json")
        assert done.returncode == 0, done.stderr
        return {each["service"]: each for each in json.loads(done.stdout)["services"]}

    before = wait_for(lambda: (said := told())["emoji"]["calls"] and said["strict"]["senders"] and said, what="calls")
    (sender,) = before["emoji"]["senders"]
    assert (sender["address"], sender["port"], sender["refused"]) == ("127.0.0.1", PORTS[0], 0)
    assert before["emoji"]["safe_to_go_strict"] is False
    (refused,) = before["strict"]["senders"]
    assert (refused["calls"], before["strict"]["modes"]) == (0, ["strict"])
    assert refused["refused"] >= 1
    for _ in range(2):
        _direct(up, "emoji", "/told")
        _call(up, "emoji")
    wait_for(lambda: told()["emoji"]["calls"] == before["emoji"]["calls"] + 2, what="exactly the new calls")


def test_from_plaintext_only_to_mutual_tls_only_and_back_without_losing_a_request(up: Mesh) -> None:
    assert (_call(up, "old"), _direct(up, "old")) == (200, 200)
    assert _last(up, "old").get("plaintext") == "yes"
    failures: list[int] = []
    done = threading.Event()
    count = 0

    def hammer() -> None:
        nonlocal count
        while not done.is_set():
            status = _call(up, "old", "/hammered")
            count += 1
            if status != 200:
                failures.append(status)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        (up.folder / "handsel.yaml").write_text(_text("strict"))
        wait_for(lambda: _direct(up, "old") == 0, 30, "that plaintext is refused")
        assert _call(up, "old") == 200
        wait_for(lambda: _last(up, "old").get("peer_uri") == "spiffe://modes.internal/ns/default/sa/web", what="TLS")
        (up.folder / "handsel.yaml").write_text(_text("disable"))
        wait_for(lambda: _direct(up, "old") == 200, 30, "that plaintext is taken")
        wait_for(lambda: _last(up, "old").get("peer_uri") is None, 30, "that callers speak plaintext")
        time.sleep(3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert count > 100
