"""The door for JWT-SVIDs: an agent asks, over mutual TLS, for a workload of its host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from handsel.authority.jwt import Token
from handsel.authority.model import Host
from handsel.door.asgi import Request, Response, Routes
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import PREFIX

PROTOBUF = "application/x-protobuf"
WhoSpeaks = Callable[[Request], Awaitable[Host]]
Issue = Callable[[Host, str, Sequence[str]], Awaitable[tuple[str, Token]]]
"""Approves, records and signs a token. Raises `Refused`, `NotAuthorised`, `StateError`."""


def routes(host: WhoSpeaks, issue: Issue) -> Routes:
    """`POST /agent/v1/jwt`."""

    async def jwt(request: Request) -> Response:
        asking = await host(request)
        wanted = JwtRequest.decode(request.body)
        text, token = await issue(asking, wanted.service, wanted.audiences)
        return Response(200, JwtResponse(text, token.expires).encode(), PROTOBUF)

    return {("POST", f"{PREFIX}/jwt"): jwt}
