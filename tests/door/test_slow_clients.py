"""Clients that are slow on purpose, or many: they are ended, and the others notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from handsel.door.adapters import uvicorn_tls
from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp
from handsel.door.asgi import Door, Request, Response, Stream

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
WHOLE = HEAD + b"\r\nbody"


async def _answer(request: Request) -> Response:
    return Response(200, request.body)


async def _long(_request: Request) -> Stream:
    async def pieces():
        for _ in range(6):
            yield b"x"
            await asyncio.sleep(0.2)

    return Stream(pieces())


@pytest.fixture(autouse=True)
def _less_patience(monkeypatch):
    monkeypatch.setattr(uvicorn_tls, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(uvicorn_tls, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(uvicorn_tls, "MOST_CONNECTIONS", 250)


@contextlib.asynccontextmanager
async def door() -> AsyncIterator[int]:
    listening = listen_tcp("127.0.0.1", 0)
    routes = {("POST", "/"): _answer, ("GET", "/long"): _long}
    server = DoorServer(Door(routes, on_bug=lambda error: None), listening, None)
    await server.start()
    try:
        yield listening.getsockname()[1]
    finally:
        await server.stop()


async def talk(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes back for these bytes, sent with pauses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


CLOSE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"


async def test_a_request_in_pieces_is_answered_while_it_is_in_time():
    async with door() as port:
        assert (await talk(port, CLOSE[:20], CLOSE[20:60], CLOSE[60:], pause=0.1)).endswith(b"body")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((b"",), id="nothing"),
        pytest.param((HEAD[:10],), id="half a line"),
        pytest.param((HEAD, *(b"A: b\r\n",) * 8), id="a header now and then"),
        pytest.param((HEAD + b"\r\nbo",), id="half a body"),
        pytest.param((HEAD + b"\r\n", b"b", b"o", b"d"), id="a byte now and then"),
    ],
)
async def test_a_request_that_takes_too_long_is_ended(parts):
    async with door() as port:
        began = time.monotonic()
        assert await talk(port, *parts, pause=0.2) == b""
        assert time.monotonic() - began < 4


async def test_the_second_request_of_a_connection_has_no_more_time_than_the_first():
    async with door() as port:
        came = await talk(port, WHOLE, HEAD, pause=0.1)
        assert came.count(b"HTTP/1.1 200") == 1


async def test_two_hundred_slow_clients_hold_nobody_up():
    async with door() as port:
        slow = [asyncio.create_task(talk(port, HEAD)) for _ in range(200)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert (await talk(port, CLOSE)).endswith(b"body")
        assert time.monotonic() - began < 1
        assert set(await asyncio.gather(*slow)) == {b""}


async def test_connections_of_one_address_are_bounded_and_counted_down_again():
    async with door() as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(250)]
        assert await talk(port, CLOSE) == b""
        for _, writer in opened:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        assert (await talk(port, CLOSE)).endswith(b"body")


async def test_a_long_answer_is_not_cut():
    async with door() as port:
        came = await talk(port, b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert came.count(b"x") == 6


async def test_requests_that_come_at_once_are_answered_in_order():
    async with door() as port:
        first, second = WHOLE.replace(b"body", b"1111"), CLOSE.replace(b"body", b"2222")
        came = await talk(port, first + second)
        assert came.index(b"1111") < came.index(b"2222")


async def test_a_head_that_is_too_large_is_refused():
    async with door() as port:
        came = await talk(port, HEAD + b"A: " + b"a" * 200_000 + b"\r\n\r\n")
        assert not came.startswith(b"HTTP/1.1 200")
