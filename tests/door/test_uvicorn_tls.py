"""Doors over real sockets: the verified client certificate reaches the handler, and nobody else gets in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp, listen_unix
from handsel.door.asgi import MAXIMUM_BODY, Door, Request, Response, Stream
from handsel.errors import PortInUse, StateError
from tests.support import TRUST_DOMAIN, TestAuthority, ask, client_context, tls_door, until, write_pair

AGENT = TRUST_DOMAIN.agent("a1b2")
GET = b"GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class Peers:
    """A handler that tells the client who it is, and remembers everybody."""

    def __init__(self) -> None:
        self.seen: list[bytes | None] = []
        self.routes = {("GET", "/peer"): self.peer}

    async def peer(self, request: Request) -> Response:
        self.seen.append(request.peer)
        return Response(200, hashlib.sha256(request.peer or b"").hexdigest().encode())


async def test_the_client_certificate_reaches_the_handler(living_authority, tmp_path):
    peers = Peers()
    pair = living_authority.pair(AGENT)
    client = client_context(living_authority, write_pair(tmp_path, "agent", pair))
    async with tls_door(tmp_path, living_authority, peers.routes) as (port, _):
        answer = await ask(port, client, GET)
    assert answer.endswith(hashlib.sha256(pair.leaf.der).hexdigest().encode())
    assert peers.seen == [pair.leaf.der]


async def test_a_client_without_a_certificate_is_nobody(living_authority, tmp_path):
    peers = Peers()
    async with tls_door(tmp_path, living_authority, peers.routes) as (port, _):
        assert b" 200 " in await ask(port, client_context(living_authority), GET)
    assert peers.seen == [None]


async def test_every_request_of_a_connection_has_its_client(living_authority, tmp_path):
    peers = Peers()
    one, other = living_authority.pair(AGENT), living_authority.pair(AGENT)
    contexts = [
        client_context(living_authority, write_pair(tmp_path, name, p)) for name, p in (("a", one), ("b", other))
    ]
    keep_alive = GET.replace(b"connection: close\r\n", b"")
    async with tls_door(tmp_path, living_authority, peers.routes) as (port, _):
        await asyncio.gather(*(ask(port, context, keep_alive + keep_alive + GET) for context in contexts))
    assert sorted(peers.seen) == sorted([one.leaf.der, other.leaf.der] * 3)


def _expired(authority: TestAuthority):
    return authority.pair(AGENT, now=authority.now - timedelta(seconds=50), lifetime=timedelta(seconds=40))


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(lambda authority: TestAuthority.make(authority.now).pair(AGENT), id="of another authority"),
        pytest.param(_expired, id="that has ended"),
    ],
)
async def test_a_certificate_that_does_not_hold_gets_nowhere(living_authority, tmp_path, stranger):
    peers = Peers()
    good = living_authority.pair(AGENT)
    contexts = [
        client_context(living_authority, write_pair(tmp_path, name, pair))
        for name, pair in (("good", good), ("stranger", stranger(living_authority)))
    ]
    async with tls_door(tmp_path, living_authority, peers.routes) as (port, _):
        assert b" 200 " in await ask(port, contexts[0], GET)
        answer = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            answer = await ask(port, contexts[1], GET)
    assert answer == b""
    assert peers.seen == [good.leaf.der]


async def test_nothing_older_than_tls_1_3_is_spoken(living_authority, tmp_path):
    new, old = client_context(living_authority), client_context(living_authority)
    new.minimum_version = ssl.TLSVersion.TLSv1_3
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with tls_door(tmp_path, living_authority, Peers().routes) as (port, _):
        assert b" 200 " in await ask(port, new, GET)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, old, GET)


async def _has_ticket(port: int, context: ssl.SSLContext) -> bool:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=TRUST_DOMAIN.server_dns
    )
    writer.write(GET)
    await reader.read()
    session = writer.get_extra_info("ssl_object").session
    writer.close()
    return bool(session and session.has_ticket)


async def test_no_session_can_be_resumed(living_authority, tmp_path):
    async with tls_door(tmp_path, living_authority, Peers().routes) as (port, tls):
        assert not await _has_ticket(port, client_context(living_authority))
        tls.context.num_tickets = 2
        assert await _has_ticket(port, client_context(living_authority))


async def test_a_new_chain_is_shown_to_new_connections(living_authority, tmp_path):
    async def shown(port: int) -> bytes:
        name = TRUST_DOMAIN.server_dns
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(living_authority), server_hostname=name
        )
        writer.close()
        return writer.get_extra_info("ssl_object").getpeercert(True)

    renewed = living_authority.pair(TRUST_DOMAIN.server, dns_names=(TRUST_DOMAIN.server_dns,))
    async with tls_door(tmp_path, living_authority, Peers().routes) as (port, tls):
        assert await shown(port) != renewed.leaf.der
        tls.show(*write_pair(tmp_path, "renewed", renewed))
        assert await shown(port) == renewed.leaf.der


async def test_a_root_that_is_trusted_no_more_lets_nobody_in(living_authority, tmp_path):
    """While both are trusted both get in; then each alone, the other one being the control."""
    next_one = TestAuthority.make(living_authority.now)
    old, new = (
        client_context(living_authority, write_pair(tmp_path, name, authority.pair(AGENT)))
        for name, authority in (("old", living_authority), ("new", next_one))
    )

    async def gets_in(port: int, context: ssl.SSLContext) -> bool:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            return b" 200 " in await ask(port, context, GET)
        return False

    async with tls_door(tmp_path, living_authority, Peers().routes) as (port, tls):
        for roots, expected in (
            ((living_authority,), (True, False)),
            ((next_one, living_authority), (True, True)),
            ((next_one,), (False, True)),
        ):
            tls.trust([each.issuer.root for each in roots])
            assert (await gets_in(port, old), await gets_in(port, new)) == expected
        assert b" 200 " in await ask(port, client_context(living_authority), GET)  # without a certificate: as ever


@pytest.mark.parametrize(("size", "status"), [(MAXIMUM_BODY, b" 200 "), (MAXIMUM_BODY + 1, b" 413 ")])
async def test_a_body_has_a_limit(living_authority, tmp_path, size, status):
    async def take(request: Request) -> Response:
        return Response(200, str(len(request.body)).encode())

    head = f"POST /take HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode()
    async with tls_door(tmp_path, living_authority, {("POST", "/take"): take}) as (port, _):
        answer = await ask(port, client_context(living_authority), head + b"a" * size)
    assert status in answer.split(b"\r\n", 1)[0] + b" "


async def test_a_request_under_way_is_finished_before_the_door_closes(living_authority, tmp_path):
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        entered.set()
        await go_on.wait()
        return Response(200, b"finished")

    async with tls_door(tmp_path, living_authority, {("GET", "/peer"): slow}) as (port, _):
        asking = asyncio.create_task(ask(port, client_context(living_authority), GET))
        await entered.wait()
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert (await asking).endswith(b"finished")


async def test_a_long_answer_ends_when_the_client_leaves(living_authority, tmp_path):
    ended: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for _ in range(100):
                yield b"ping"
                await asyncio.sleep(0.02)
            ended.append("by itself")
        finally:
            ended.append("at all")

    async def long(_request: Request) -> Stream:
        return Stream(pieces())

    async with tls_door(tmp_path, living_authority, {("GET", "/peer"): long}) as (port, _):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(living_authority), server_hostname=TRUST_DOMAIN.server_dns
        )
        writer.write(GET)
        await reader.readuntil(b"ping")
        writer.transport.abort()
        await until(lambda: bool(ended))
    assert ended == ["at all"]


async def test_a_unix_door_is_for_its_owner_and_takes_the_place_of_a_dead_one(short_folder):
    path = short_folder / "door.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    door = DoorServer(Door(Peers().routes, on_bug=lambda _error: None), listen_unix(path), None)
    await door.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(GET)
    assert b" 200 " in await reader.read()
    writer.close()
    await door.stop()


def test_a_path_too_long_for_a_socket_is_refused_in_order(short_folder):
    with pytest.raises(StateError, match="cannot be made"):
        listen_unix(short_folder / ("x" * 108))


def test_a_port_that_is_taken_is_told_by_its_name():
    with listen_tcp("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port} cannot be listened on"):
            listen_tcp("127.0.0.1", port)
    listen_tcp("127.0.0.1", port).close()


async def test_an_answer_in_several_writes_does_not_wait_for_the_client():
    """Nagle's delay is off on accepted connections: otherwise each such answer would take 40 ms more."""
    seen: list[int] = []

    listening = listen_tcp("127.0.0.1", 0)

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            accepted = transport.get_extra_info("socket")
            seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    server = await asyncio.get_running_loop().create_server(Protocol, sock=listening)
    async with server:
        _, writer = await asyncio.open_connection(*listening.getsockname())
        await until(lambda: bool(seen))
        writer.close()
    assert seen == [1]


async def test_the_address_of_a_client_is_not_what_it_says(tmp_path, living_authority):
    """Limits and tickets rest on it."""

    async def who(request: Request) -> Response:
        return Response(200, request.client.encode())

    async with tls_door(tmp_path, living_authority, {("GET", "/"): who}) as (port, _):
        lied = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n"
        assert (await ask(port, client_context(living_authority), lied)).endswith(b"127.0.0.1")
