"""The service web: the page on which people vote, and its JSON. It asks emoji and voting over gRPC."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import grpc
import grpc.aio
import uvicorn

from handsel.demo.emojivote import emojivote_pb2 as pb
from handsel.demo.emojivote import rpc

_PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
_GRACE_SECONDS = 3  # longer than any call takes

# Every other failure of a call is 500.
_STATUS = {
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.SERVICE_UNAVAILABLE,
}

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]


@dataclass(frozen=True)
class Response:
    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def page() -> Response:
    """The page. Only its own script and style may run in it, and it may speak to nobody but us."""
    policy = (
        f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = ((b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", policy.encode()))
    return Response(HTTPStatus.OK, _PAGE.encode(), headers)


def _hash(element: str) -> str:
    """How a Content-Security-Policy names the content of an element of the page."""
    content = re.findall(f"<{element}>(.*?)</{element}>", _PAGE, re.DOTALL)[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def answer(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, json.dumps(content).encode(), ((b"content-type", b"application/json"),))


def problem(status: HTTPStatus, message: str) -> Response:
    return answer({"error": message}, status)


class Web:
    """The ASGI application, over a channel to emoji and one to voting."""

    def __init__(self, emoji: grpc.aio.Channel, voting: grpc.aio.Channel) -> None:
        self._emoji = emoji
        self._voting = voting

    async def __call__(self, scope: _Message, _receive: Callable[[], Awaitable[_Message]], send: _Send) -> None:
        try:
            response = await self._respond(scope)
        except rpc.CallFailed as error:
            response = problem(_STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR), str(error))
        headers = [
            *response.headers,
            (b"content-length", str(len(response.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _respond(self, scope: _Message) -> Response:
        match scope["method"], scope["path"]:
            case "GET" | "HEAD", "/":
                return page()
            case "GET", "/api/list":
                return answer(await self._list())
            case "GET", "/api/leaderboard":
                return answer(await self._leaderboard())
            case "GET" | "POST", "/api/vote":
                choices = parse_qs(scope["query_string"].decode("latin-1")).get("choice")
                return answer(await self._vote(choices[-1])) if choices else _NO_CHOICE
            case _:
                return problem(HTTPStatus.NOT_FOUND, "there is nothing here")

    async def _list(self) -> list[dict[str, str]]:
        everything = await rpc.call(self._emoji, rpc.LIST_ALL, pb.ListAllRequest())
        return [{"shortcode": emoji.shortcode, "unicode": emoji.unicode} for emoji in everything.emojis]

    async def _leaderboard(self) -> list[dict[str, Any]]:
        emojis, ranking = await asyncio.gather(self._list(), rpc.call(self._voting, rpc.RESULTS, pb.ResultsRequest()))
        unicode = {emoji["shortcode"]: emoji["unicode"] for emoji in emojis}
        return [
            {"shortcode": result.shortcode, "unicode": unicode[result.shortcode], "votes": result.votes}
            for result in ranking.results
        ]

    async def _vote(self, shortcode: str) -> dict[str, Any]:
        found = await rpc.call(self._emoji, rpc.FIND, pb.FindByShortcodeRequest(shortcode=shortcode))
        voted = await rpc.call(self._voting, rpc.VOTE, pb.VoteRequest(shortcode=shortcode))
        return {"shortcode": shortcode, "unicode": found.emoji.unicode, "votes": voted.votes}


_NO_CHOICE = problem(HTTPStatus.BAD_REQUEST, "choose an emoji, such as /api/vote?choice=:ghost:")


async def main() -> None:
    """Serve on `PORT` until SIGTERM or SIGINT."""
    # uvicorn ends at a signal, then raises it once more: let that be a plain end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    emoji, voting = (rpc.connect(os.environ[name]) for name in ("EMOJI_ADDR", "VOTING_ADDR"))
    async with emoji, voting:
        config = uvicorn.Config(
            Web(emoji, voting),
            port=int(os.environ["PORT"]),
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
