"""An act is what somebody asks of a running server: it says which role it needs, and is told who asks."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from handsel.authority.administration import Role
from handsel.door.asgi import Handler, Request, Response, Routes
from handsel.errors import NotAuthorised, UsageError

JSON = "application/json"
LOCAL = "local"
"""Who asks on the admin socket: whoever may open it, which is the server's own user and root."""


@dataclass(frozen=True)
class Asked:
    """One call of an act: `by` is who asks, for the journal."""

    request: Request
    by: str

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    @property
    def wish(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when there is no body. Raises `UsageError`."""
        try:
            wish = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict):
            raise UsageError("the body is no JSON object")
        return wish

    @property
    def csr_der(self) -> bytes:
        """The request for a certificate in the body: `csr`, DER as base64. Raises `UsageError`."""
        try:
            return base64.b64decode(str(self.wish.get("csr", "")), validate=True)
        except binascii.Error:
            raise UsageError("csr is a request in DER, as base64") from None


@dataclass(frozen=True)
class Act:
    """What is done, and by whom it may be asked. `do` gives what is answered, as JSON."""

    role: Role
    do: Callable[[Asked], Awaitable[Any]]


Acts = Mapping[tuple[str, str], Act]
"""Acts by (method, path)."""

WhoAsks = Callable[[Request], Awaitable[tuple[str, Role]]]
"""Who sends a request, and the role they have. Raises `NotAuthorised`."""


async def on_local_socket(_request: Request) -> tuple[str, Role]:
    """On the admin socket the file's mode has decided already."""
    return LOCAL, Role.ADMINISTRATOR


def mount(acts: Acts, who_asks: WhoAsks, prefix: str = "") -> Routes:
    """The acts as routes of a door."""
    return {(method, prefix + path): _handler(act, who_asks) for (method, path), act in acts.items()}


def _handler(act: Act, who_asks: WhoAsks) -> Handler:
    async def handle(request: Request) -> Response:
        by, role = await who_asks(request)
        if role < act.role:
            raise NotAuthorised(f"{by} is {role}, and this needs the role {act.role}")
        return Response(200, json.dumps(await act.do(Asked(request, by))).encode(), JSON)

    return handle
