"""A context in the hands of the usual libraries: one-way and two-way, refused beside allowed, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import httpx2
import pytest
import requests
import uvicorn
from requests.adapters import HTTPAdapter

from tests.tls.world import HOST, World

ONE_WAY = "{key_store: {path: server.pem}}"
TWO_WAY = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}}"
CLIENT = "{trust_store: {path: roots.pem}}"
KNOWN_CLIENT = "{key_store: {path: client.pem}, trust_store: {path: roots.pem}}"
STRANGER = "{trust_store: {path: others.pem}}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.issue("server", dns=(HOST, "localhost"))
    made.issue("client", dns=("billing.internal",))
    (tmp_path / "o").mkdir()
    other = World(tmp_path / "o")
    made.write("others.pem", (other.folder / "roots.pem").read_bytes())
    return made


async def _application(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"paid"})


@contextlib.asynccontextmanager
async def _uvicorn(context: ssl.SSLContext) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _application, log_config=None, lifespan="off", ssl_context_factory=lambda _config, _default: context
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _aiohttp(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def answer(_request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(text="paid")

    application = aiohttp.web.Application()
    application.router.add_get("/", answer)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await aiohttp.web.SockSite(runner, listening, ssl_context=context).start()
    try:
        yield listening.getsockname()[1]
    finally:
        await runner.cleanup()


async def _by_httpx2(context: ssl.SSLContext, port: int) -> str:
    async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
        return (await client.get(f"https://localhost:{port}/")).text


async def _by_aiohttp(context: ssl.SSLContext, port: int) -> str:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(f"https://localhost:{port}/") as response,
    ):
        return await response.text()


class _Adapter(HTTPAdapter):
    """How `requests` is given a context: by an adapter of a session."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **named)


async def _by_requests(context: ssl.SSLContext, port: int) -> str:
    def get() -> str:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("https://", _Adapter(context))
            return session.get(f"https://localhost:{port}/", timeout=10).text

    return await asyncio.to_thread(get)


async def _by_streams(context: ssl.SSLContext, port: int) -> str:
    """Plain asyncio, as everything above it does in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        writer.write(b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n")
        return (await reader.read()).decode().rpartition("\r\n\r\n")[2]
    finally:
        writer.close()


Client = Callable[[ssl.SSLContext, int], Awaitable[str]]
CLIENTS = [_by_httpx2, _by_aiohttp, _by_requests, _by_streams]
SERVERS = [_uvicorn, _aiohttp]
REFUSED = (ssl.SSLError, OSError, httpx2.HTTPError, aiohttp.ClientError)


async def _through(client: Client, context: ssl.SSLContext, port: int) -> bool:
    try:
        return await client(context, port) == "paid"
    except REFUSED:
        return False


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
async def test_one_way(world: World, client: Client, server: Any) -> None:
    async with server(world.context("s", ONE_WAY).server()) as port:
        assert await _through(client, world.context("c", CLIENT).client(), port)
        assert not await _through(client, world.context("c", STRANGER).client(), port)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
async def test_two_way(world: World, client: Client, server: Any) -> None:
    async with server(world.context("s", TWO_WAY).server()) as port:
        assert await _through(client, world.context("c", KNOWN_CLIENT).client(), port)
        assert not await _through(client, world.context("c", CLIENT).client(), port)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_peer_that_is_not_expected_is_refused_by_every_client(world: World, client: Client) -> None:
    expected = "{trust_store: {path: roots.pem}, peers: [NAME]}"
    async with _uvicorn(world.context("s", ONE_WAY).server()) as port:
        assert await _through(client, world.context("c", expected.replace("NAME", HOST)).client(), port)
        assert not await _through(client, world.context("c", expected.replace("NAME", "other.internal")).client(), port)


async def test_a_server_under_load_drops_nothing_while_its_certificate_is_renewed(world: World) -> None:
    async with _uvicorn(world.context("s", ONE_WAY).server()) as port:
        client = world.context("c", CLIENT).client()
        stop = asyncio.get_running_loop().time() + 4
        answers: list[str] = []

        async def ask() -> None:
            async with httpx2.AsyncClient(verify=client, trust_env=False) as kept:
                while asyncio.get_running_loop().time() < stop:
                    answers.append((await kept.get(f"https://localhost:{port}/")).text)
                    answers.append(await _by_httpx2(client, port))

        async def renew() -> None:
            while asyncio.get_running_loop().time() < stop:
                await asyncio.sleep(0.7)
                world.issue("server", dns=(HOST, "localhost"))

        await asyncio.gather(ask(), ask(), renew())
        assert len(answers) > 20
        assert set(answers) == {"paid"}
