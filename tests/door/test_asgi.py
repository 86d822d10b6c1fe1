"""A door over some handlers, as an ASGI application: messages in, messages out, no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from handsel import errors
from handsel.door.asgi import MAXIMUM_BODY, Door, Request, Response, Stream
from handsel.errors import HandselError, NotAuthorised, ProtocolError, Refused

Message = dict[str, Any]


@dataclass
class Conversation:
    """What one client says to a door, and what it hears."""

    routes: dict[tuple[str, str], Any]
    bugs: list[Exception] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def say(
        self,
        messages: Sequence[Message] = ({"type": "http.request", "body": b""},),
        *,
        method: str = "POST",
        path: str = "/x",
        query: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        extensions: Message | None = None,
        more: Message | None = None,
    ) -> tuple[int, bytes]:
        waiting = list(messages)
        heard: list[Message] = []

        async def receive() -> Message:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            heard.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": query, "headers": headers,
            "extensions": extensions or {}, **(more or {}),
        }  # fmt: skip
        await Door(self.routes, on_bug=self.bugs.append)(scope, receive, send)
        if not heard:
            return 0, b""  # the client has left
        start, *pieces = heard
        self.headers = start.get("headers", [])
        assert start["type"] == "http.response.start"
        assert not pieces[-1].get("more_body", False)
        return start["status"], b"".join(piece["body"] for piece in pieces)


def _pieces(*bodies: bytes) -> list[Message]:
    more = [{"type": "http.request", "body": body, "more_body": True} for body in bodies[:-1]]
    return [*more, {"type": "http.request", "body": bodies[-1]}]


def _echo() -> Conversation:
    async def echo(request: Request) -> Response:
        return Response(200, repr((request.query, request.headers, request.body, request.peer)).encode())

    return Conversation({("POST", "/x"): echo})


def _failing(error: Exception) -> Conversation:
    async def fail(_request: Request) -> Response:
        raise error

    return Conversation({("POST", "/x"): fail})


async def test_a_handler_gets_all_that_the_request_says():
    status, body = await _echo().say(
        _pieces(b"one ", b"two"),
        query=b"since=7&since=8&a=b%20c",
        headers=[(b"x-version", b"1")],
        extensions={"tls": {"client_certificate": b"der"}},
    )
    assert (status, body) == (200, repr(({"since": "8", "a": "b c"}, {"x-version": "1"}, b"one two", b"der")).encode())


async def test_without_a_client_certificate_there_is_no_peer():
    for extensions in (None, {"tls": {}}, {"tls": {"client_certificate": None}}):
        _, body = await _echo().say(extensions=extensions)
        assert body.endswith(b"None)")


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/x", 200), ("GET", "/x", 405), ("POST", "/y", 404)])
async def test_only_what_has_a_handler_is_answered(method, path, status):
    assert (await _echo().say(method=method, path=path))[0] == status


@pytest.mark.parametrize(
    ("sizes", "status"),
    [([MAXIMUM_BODY], 200), ([MAXIMUM_BODY + 1], 413), ([MAXIMUM_BODY, 1], 413), ([1000] * 1049, 413), ([0, 0], 200)],
)
async def test_a_body_has_a_limit_however_it_is_cut(sizes, status):
    called = []

    async def note(request: Request) -> Response:
        called.append(len(request.body))
        return Response(200)

    answer = await Conversation({("POST", "/x"): note}).say(_pieces(*(b"a" * size for size in sizes)))
    assert answer[0] == status
    assert called == ([sum(sizes)] if status == 200 else [])


async def test_a_request_that_breaks_off_reaches_no_handler():
    called = []

    async def note(request: Request) -> Response:
        called.append(request.body)
        return Response(200)

    conversation = Conversation({("POST", "/x"): note})
    await conversation.say(_pieces(b"whole"))
    await conversation.say([{"type": "http.request", "body": b"half of", "more_body": True}])
    assert called == [b"whole"]


ALL = [
    each for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, HandselError) and each is not errors.InvalidFile
]  # fmt: skip
_STATUS = {
    ProtocolError: 400, NotAuthorised: 401, Refused: 403, errors.TicketRefused: 403, errors.KeyRefused: 403,
    errors.ProfileRefused: 403,
}  # fmt: skip


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
async def test_an_error_of_ours_is_a_line_with_its_code_and_one_with_what_to_do(kind):
    conversation = _failing(kind("what went wrong", next_step="do this"))
    status, body = await conversation.say()
    assert body == f"{kind.code} what went wrong\ndo this".encode()
    assert status == _STATUS.get(kind, 503)
    assert conversation.bugs == []


async def test_a_bug_of_ours_gives_the_client_no_traceback_and_the_log_everything():
    bug = KeyError("a secret detail")
    conversation = _failing(bug)
    status, body = await conversation.say()
    assert status == 500
    assert body.startswith(b"HS-X001 ")
    assert len(body.splitlines()) == 1
    assert b"secret detail" not in body
    assert conversation.bugs == [bug]


async def test_after_a_bug_the_door_answers_the_next():
    conversation = _echo()
    conversation.routes["POST", "/bug"] = _failing(RuntimeError()).routes["POST", "/x"]
    assert (await conversation.say(path="/bug"))[0] == 500
    assert (await conversation.say())[0] == 200


async def test_a_long_answer_is_sent_piece_by_piece():
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            yield piece
            await asyncio.sleep(0)

    async def long(_request: Request) -> Stream:
        return Stream(pieces())

    assert await Conversation({("POST", "/x"): long}).say() == (200, b"abc")


async def test_a_request_does_not_print_its_body_or_its_peer():
    request = Request("POST", "/x", {}, {}, b"a body with a secret", b"a certificate")
    assert "secret" not in repr(request)
    assert "certificate" not in repr(request)


def _says(text: bytes):
    async def say(request: Request) -> Response:
        return Response(200, text + b" " + request.path.encode())

    return say


BELOW = {
    ("POST", "/x"): _says(b"x"),
    ("*", "/acme/"): _says(b"any"),
    ("GET", "/acme/"): _says(b"get"),
    ("GET", "/only/"): _says(b"only"),
}


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("POST", "/x", (200, b"x /x")),
        ("POST", "/acme/", (200, b"any /acme/")),
        ("POST", "/acme/order/1", (200, b"any /acme/order/1")),
        ("DELETE", "/acme/x", (200, b"any /acme/x")),
        ("GET", "/acme/directory", (200, b"get /acme/directory")),
        ("GET", "/only/a", (200, b"only /only/a")),
    ],
)
async def test_a_path_that_ends_in_a_slash_is_all_below_it(method, path, answer):
    assert await Conversation(BELOW).say(method=method, path=path) == answer


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/acme"), ("POST", "/acmee/x"), ("POST", "/x/y"), ("POST", "/only/a"), ("GET", "/")]
)
async def test_nothing_else_is_below_it(method, path):
    assert (await Conversation(BELOW).say(method=method, path=path))[0] == 404


async def test_a_route_of_its_own_goes_before_the_one_that_it_lies_below():
    routes = {**BELOW, ("POST", "/acme/own"): _says(b"own")}
    assert await Conversation(routes).say(path="/acme/own") == (200, b"own /acme/own")
    assert await Conversation(routes).say(path="/acme/owner") == (200, b"any /acme/owner")


async def test_an_answer_carries_its_headers_in_their_order():
    headers = (("Replay-Nonce", "abc"), ("Link", "<a>"), ("Link", "<b>"))

    async def answer(_request: Request) -> Response:
        return Response(201, b"{}", "application/json", headers)

    conversation = Conversation({("POST", "/x"): answer})
    assert await conversation.say() == (201, b"{}")
    assert conversation.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"Replay-Nonce", b"abc"),
        (b"Link", b"<a>"),
        (b"Link", b"<b>"),
    ]


async def test_a_handler_sees_the_path_as_it_was_sent_and_where_it_comes_from():
    async def show(request: Request) -> Response:
        return Response(200, repr((request.path, request.raw_path, request.client)).encode())

    conversation = Conversation({("POST", "/a b"): show})
    assert (await conversation.say(path="/a b"))[1] == repr(("/a b", b"", "")).encode()
    more = {"raw_path": b"/a%20b", "client": ("10.0.0.7", 4711)}
    assert (await conversation.say(path="/a b", more=more))[1] == repr(("/a b", b"/a%20b", "10.0.0.7")).encode()
    assert (await conversation.say(path="/a b", more={"client": None}))[1] == repr(("/a b", b"", "")).encode()
