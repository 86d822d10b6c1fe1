"""A workload in a pod: its mesh ports, the names it calls, and whom it asks for others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest
from envoy.config.listener.v3 import listener_pb2
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.adapters import pod_names
from handsel.agent.adapters.pod_names import Asking
from handsel.agent.adapters.resolver import Stub
from handsel.agent.model import HostSettings, Ports
from handsel.agent.pod import Resolving, in_front_of, names, read_resolving
from handsel.model.pod import Interception
from handsel.xds.pod import captured, door
from handsel.xds.resources import CLUSTER, LISTENER, resource
from tests.e2e.mesh_process import free_port


def test_mesh_ports_are_the_programs_own():
    ports = in_front_of(Ports(8080, 20001, 20002, {"shop": 20003}, more={9000: 20004}))
    assert (ports.mesh, ports.more) == (8080, {9000: 9000})
    assert (ports.proxy, ports.callees) == (20002, {"shop": 20003})


@pytest.mark.parametrize(
    ("mode", "is_captured"), [(None, False), ("NONE", False), ("REDIRECT", True), ("TPROXY", True)]
)
def test_connections_are_captured_where_rules_say_so(mode: str | None, *, is_captured: bool):
    assert HostSettings(pod=Interception(mode) if mode else None).captured is is_captured


def test_the_domains_of_a_pod_are_read():
    text = "search old\nnameserver 10.96.0.10\n# no\nnameserver fd00::a\noptions ndots:5\nsearch shop.svc.cluster.local. b\n"
    assert read_resolving(text) == Resolving(("10.96.0.10", "fd00::a"), ("shop.svc.cluster.local", "b"))


@given(st.text(alphabet="\n search.nameserver#1"))
def test_any_resolv_conf_is_read(text: str):
    found = read_resolving(text)
    assert all(found.servers)
    assert all(found.search)


def test_a_callee_is_found_by_what_a_resolver_tries_first():
    found = names({"shop shop.other": "127.70.0.1"}, ("svc.cluster.local",))
    assert found == dict.fromkeys(
        ["shop", "shop.other", "shop.svc.cluster.local", "shop.other.svc.cluster.local"], "127.70.0.1"
    )


def _listener(name: str) -> listener_pb2.Listener:
    made = captured(resource(LISTENER, name, listener_pb2.Listener(name=name).SerializeToString()))
    return listener_pb2.Listener.FromString(made.body)


def test_only_mesh_ports_are_not_bound():
    for name in ("inbound", "inbound.9000"):
        assert _listener(name).bind_to_port.value is False
        assert _listener(name).HasField("bind_to_port")
    for name in ("outbound.shop", "name.shop", "proxy", "front.web", "inboundly"):
        assert not _listener(name).HasField("bind_to_port")
    other = resource(CLUSTER, "inbound", b"")
    assert captured(other) is other


def test_the_entrance_is_transparent_where_that_was_asked():
    for transparent in (False, True):
        made = listener_pb2.Listener.FromString(door(15006, six=True, transparent=transparent).body)
        assert made.transparent.value is transparent
        assert (made.address.socket_address.address, made.address.socket_address.ipv4_compat) == ("::", True)


# Names that are no callee's


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        monkeypatch.setattr(pod_names, "_PORT", server.getsockname()[1])
        yield server


@contextlib.contextmanager
def _stub(asking: Asking) -> Iterator[tuple[str, int]]:
    place = ("127.0.0.1", free_port())
    stub = Stub(lambda: {"shop": "127.70.0.1"}, place, asking)
    stub.start()
    try:
        yield place
    finally:
        stub.close()
        asking.close()


async def _ask(place: tuple[str, int], name: str) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(place)
        await loop.sock_sendall(client, dns.message.make_query(name, "A").to_wire())
        async with asyncio.timeout(5):
            return dns.message.from_wire(await loop.sock_recv(client, 4096))


async def test_the_pods_server_is_asked_for_other_names_alone(upstream: socket.socket):
    asked: list[str] = []

    async def answer() -> None:
        query, client = await asyncio.get_running_loop().sock_recvfrom(upstream, 4096)
        message = dns.message.from_wire(query)
        asked.append(message.question[0].name.to_text())
        reply = dns.message.make_response(message)
        reply.answer.append(dns.rrset.from_text(message.question[0].name, 5, "IN", "A", "192.0.2.7"))
        await asyncio.get_running_loop().sock_sendto(upstream, b"\xff\xff" + reply.to_wire()[2:], client)
        await asyncio.get_running_loop().sock_sendto(upstream, reply.to_wire(), client)

    answering = asyncio.create_task(answer())
    with _stub(Asking(Resolving(("127.0.0.1",)))) as place:
        assert str((await _ask(place, "shop")).answer[0][0]) == "127.70.0.1"
        assert str((await _ask(place, "db.example")).answer[0][0]) == "192.0.2.7"
    await answering
    assert asked == ["db.example."]


async def test_without_a_server_there_is_no_other_name():
    with _stub(Asking(Resolving())) as place:
        assert (await _ask(place, "db.example")).rcode() == dns.rcode.NXDOMAIN


async def test_questions_under_way_are_bounded(upstream: socket.socket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pod_names, "_MOST_AT_ONCE", 2)
    asking = Asking(Resolving(("127.0.0.1",)))
    taken = [asking(b"\0\1" + bytes(10), lambda _: None) for _ in range(3)]
    asking.close()
    assert taken == [True, True, False]
