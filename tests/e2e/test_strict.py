"""`--strict`: a program in a network namespace of its own, which nothing leaves but through its sidecar."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel import settings
from handsel.agent.adapters import network_namespace
from handsel.agent.adapters.host import rights
from handsel.errors import Unreachable
from tests.ca_keys import with_keys
from tests.e2e.hosts import Hosts
from tests.e2e.mesh_process import (
    HANDSEL,
    HTTP_PROGRAM,
    TCP_PROGRAM,
    Handsel,
    access_log,
    end_everything_in,
    environment,
    processes_of,
    run,
    short_folder,
    wait_for,
    workload,
)
from tests.e2e.wire import Wire, wire

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not rights.may_isolate(), reason="needs root"),
    pytest.mark.skipif(shutil.which("ip") is None or shutil.which("nft") is None, reason="needs iproute2 and nftables"),
]

_SECRET = "a-word-that-nobody-else-says"
_BANK_PORT = 17301
APART = """
trust_domain: apart.internal
services:
  web: {calls: [shop, bank]}
  shop: {}
  bank: {protocol: tcp, port: 17301}
"""
TOGETHER = f"""
trust_domain: together.internal
services:
  web: {{calls: [shop]}}
  shop: {{command: "{HTTP_PROGRAM}"}}
  bank: {{command: "{TCP_PROGRAM}", protocol: tcp, port: {_BANK_PORT}}}
"""

# What comes of each attempt, as JSON: a program that knows nothing of proxies, and does what it likes.
_PROGRAM = """
import ctypes, json, os, socket, sys, time
def tcp(host, port, word):
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET /?word={word} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
        return connection.recv(1000).decode()
def udp(host, port, word):
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(word.encode(), (host, int(port)))
def name(host):
    return socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
def ask(server, host):
    question = b"".join(bytes([len(x)]) + x for x in host.encode().split(b".")) + bytes(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.sendto(b"\\x00\\x07\\x01\\x00\\x00\\x01" + bytes(6) + question + bytes([0, 1, 0, 1]), (server, 53))
        return asking.recv(512)[3] & 15
def leave(pid):
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "left"
for words in json.loads(sys.argv[1]):
    began = time.monotonic()
    try:
        said, failed = globals()[words[0]](*words[1:]), None
    except OSError as error:
        said, failed = None, type(error).__name__
    print(json.dumps({"said": said, "failed": failed, "seconds": time.monotonic() - began}), flush=True)
"""


def _as(net: Wire, machine: str, service: str, state: Path, *program: str) -> str:
    """What a program of a service says."""
    done = subprocess.run(
        [*net.within(machine), *HANDSEL, "run", "--service", service, "--state", str(state), "--", *program],
        capture_output=True, text=True, timeout=60, check=False, cwd=state.parent, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _try(net: Wire, machine: str, service: str, state: Path, *attempts: list[object]) -> list[dict[str, object]]:
    said = _as(net, machine, service, state, sys.executable, "-c", _PROGRAM, json.dumps(attempts))
    return [json.loads(line) for line in said.splitlines()]


@contextlib.contextmanager
def _hosts_apart(net: Wire) -> Iterator[Hosts]:
    with short_folder() as folder:
        try:
            yield Hosts(folder, APART, net)
        finally:
            end_everything_in(folder)
            for host in ("one", "two"):
                _remove(folder / host)


def _remove(state: Path) -> None:
    for name in network_namespace.there(state / "agent"):
        network_namespace.remove(name)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDSEL_STRICT", "1")


def test_only_tls_leaves_a_host_whatever_its_programs_say(strict: None) -> None:
    """The capture begins before the first packet, so that every connection is read from its first byte to its last."""
    with wire() as net, net.capture_frames() as frames, _hosts_apart(net) as apart:
        one, two = apart.join("one", "web"), apart.join("two", "shop", "bank")
        apart.program("two", "shop", HTTP_PROGRAM)
        apart.program("two", "bank", TCP_PROGRAM)
        calls = [["tcp", "shop", 80, _SECRET], ["tcp", "bank", _BANK_PORT, _SECRET]]
        wait_for(lambda: not any(each["failed"] for each in _try(net, "one", "web", one, *calls)), what="both calls")
        shop, bank = _try(net, "one", "web", one, *calls)
        assert "200 OK" in str(shop["said"])
        assert "secret banner" in str(bank["said"])
        if shutil.which("curl"):
            words = ["curl", "--noproxy", "*", "-sS", f"http://shop/?word={_SECRET}"]
            assert _SECRET in _as(net, "one", "web", one, *words)
        assert workload(one, "web")["way"] == "network namespace"
        told = run("status", "--state", str(one)).stdout
        assert "calls go by network namespace: there is no other way out" in told
        peers = {line.get("peer_uri") for line in access_log(two, "shop") if line["event"] == "inbound_connected"}
        assert peers == {"spiffe://apart.internal/ns/default/sa/web"}
        _agents_come_back(net, apart, calls)
        streams = frames.streams()
        assert sum(map(len, streams.values())) > 10_000
        assert {stream: data[:40] for stream, data in streams.items() if not frames.is_tls(data)} == {}
        assert frames.others() == []
        # The control: the same capture sees what is plain, and that it is.
        net.ask_plain("one", "two", _SECRET)
        wait_for(
            lambda: any(_SECRET.encode() in data and not frames.is_tls(data) for data in frames.streams().values())
        )


def _is_ready(state: Path, service: str) -> bool:
    try:
        return bool(workload(state, service)["ready"])
    except Unreachable:
        return False


def _agents_come_back(net: Wire, apart: Hosts, calls: list[list[object]]) -> None:
    """Programs in their namespaces outlive a killed agent, and the next one finds them there."""
    for host in ("one", "two"):
        apart.agents[host].kill()
        apart.start_agent(host)
    one = apart.folder / "one"
    wait_for(lambda: _is_ready(one, "web"))
    assert workload(one, "web")["adopted"]
    assert [each["failed"] for each in _try(net, "one", "web", one, *calls)] == [None, None]


@contextlib.contextmanager
def _up(net: Wire, *options: str) -> Iterator[tuple[Handsel, Path]]:
    """`up` on a machine of its own."""
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(with_keys(folder, TOGETHER))
        state = folder / "s"
        try:
            yield _start(net, folder, *options), state
        finally:
            end_everything_in(folder)
            _remove(state)
            shutil.rmtree(settings.runtime_folder(state), ignore_errors=True)


def _start(net: Wire, folder: Path, *options: str) -> Handsel:
    words = ("up", "-f", "handsel.yaml", "--state", "s", *options)
    started = Handsel(folder, f"up{len(list(folder.glob('up*.log')))}", *words, within=net.within("one"))
    started.wait_for("stop: Ctrl-C")
    return started


@pytest.mark.parametrize("options", [(), ("--strict",)], ids=["usual", "strict"])
def test_a_program_reaches_its_callees_and_nobody_else(options: tuple[str, ...]) -> None:
    """Without --strict the same attempts get through: that is the control."""
    with wire() as net, net.plain_server("two") as address, net.capture_frames() as frames, _up(net, *options) as up:
        state = up[1]
        shop, elsewhere, neighbour, datagram, unknown, asked, left = _try(
            net, "one", "web", state,
            ["tcp", "shop", 80, "x"], ["tcp", address, net.PORT, _SECRET], ["tcp", "127.0.0.1", _BANK_PORT, "x"],
            ["udp", address, 53_000, f"{_SECRET}-by-udp"], ["name", "nowhere.example.com"],
            ["ask", address, f"{_SECRET}.example.com"], ["leave", os.getpid()],
        )  # fmt: skip
        assert "200 OK" in str(shop["said"])
        seen = frames.bytes()
        if options:
            assert elsewhere["failed"] == "ConnectionResetError"
            assert neighbour["failed"] == "ConnectionRefusedError"
            assert datagram["failed"] == "PermissionError"
            assert unknown["failed"] == "gaierror"
            assert float(str(unknown["seconds"])) < 1
            assert asked["said"] == 3  # NXDOMAIN, from the stub: whom a program asks does not matter
            assert left["failed"] == "PermissionError"
            assert _SECRET.encode() not in seen
            assert frames.others() == []
            told = run("status", "--state", str(state)).stdout
            assert f"web called past its sidecar once and was refused, last to {address}:{net.PORT}" in told
            assert (state / "up.log").read_text().count('"a call past the sidecar was refused"') == 1
        else:
            assert elsewhere["said"] == "plain answer"
            assert "secret banner" in str(neighbour["said"])
            assert datagram["said"] == len(f"{_SECRET}-by-udp")
            assert asked["failed"] == "TimeoutError"  # it went out, to a machine that answers no questions
            assert left["said"] == "left"
            assert all(each in seen for each in (f"word={_SECRET}".encode(), f"{_SECRET}-by-udp".encode()))
            assert workload(state, "web")["way"] == "name and environment"


def test_what_a_killed_one_left_is_used_again_and_at_the_end_nothing_is_left() -> None:
    with wire() as net, _up(net, "--strict") as (up, state):

        def there() -> list[str]:
            return network_namespace.there(state / "agent")

        names = there()
        assert [name.rpartition("-")[2] for name in names] == ["bank", "shop", "web"]
        up.kill()
        assert there() == names
        again = _start(net, up.folder, "--strict")
        (shop,) = _try(net, "one", "web", state, ["tcp", "shop", 80, "x"])
        assert "200 OK" in str(shop["said"])
        assert workload(state, "web")["adopted"]
        again.kill()
        # Not strict any more: what is left of the namespaces goes, and everything works the usual way.
        usual = _start(net, up.folder)
        assert there() == []
        (shop,) = _try(net, "one", "web", state, ["tcp", "shop", 80, "x"])
        assert "200 OK" in str(shop["said"])
        assert usual.stop() == 0
        last = _start(net, up.folder, "--strict")
        assert there() == names
        last.kill()
        stopped = run("down", "--state", str(state))
        assert stopped.returncode == 0, stopped.stderr
        assert there() == []
        assert processes_of(up.folder) == []


def test_every_edge_is_proven_from_where_the_programs_are() -> None:
    with wire() as net, short_folder() as folder:
        (folder / "handsel.yaml").write_text(with_keys(folder, TOGETHER))
        words = ("up", "-f", "handsel.yaml", "--once", "-o", "json", "--state", "s")
        for options in ((), ("--strict",)):
            done = run(*words, *options, cwd=folder, within=net.within("one"))
            assert done.returncode == 0, done.stdout + done.stderr
            assert [edge["ok"] for edge in json.loads(done.stdout)["edges"]] == [True]
        assert network_namespace.there(folder / "s" / "agent") == []


def _without_a_capability() -> None:
    """CAP_NET_ADMIN, for what is executed next (prctl(2), PR_CAPBSET_DROP)."""
    ctypes.CDLL(None).prctl(24, 12, 0, 0, 0)


def test_a_host_that_cannot_do_it_says_what_it_lacks() -> None:
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(with_keys(folder, TOGETHER))
        words = [*HANDSEL, "up", "-f", "handsel.yaml", "--state", "s", "--strict"]
        done = subprocess.run(
            words, cwd=folder, env={**environment(folder), "PATH": "/nowhere"}, preexec_fn=_without_a_capability,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        first, next_step = done.stderr.splitlines()
        assert "--strict needs the rights of root" in first
        assert "the program ip and the program nft" in first
        assert "run it as root, install iproute2 and nftables" in next_step
        assert processes_of(folder) == []
        assert network_namespace.there(folder / "s" / "agent") == []
