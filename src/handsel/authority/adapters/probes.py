"""Probes: does a client control a name? (RFC 8555, section 8.)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from handsel.acme.jws import key_authorization
from handsel.acme.problems import Identifier, Problem
from handsel.model.authority import Validation

_SECONDS = 10
_LARGEST_ANSWER = 1 << 16


class Probes:
    """Looks at what clients show, as the settings say."""

    def __init__(self, settings: Callable[[], Validation]) -> None:
        self._settings = settings

    async def __call__(self, kind: str, identifier: Identifier, token: str, thumbprint: str) -> None:
        """Raises `Problem` when control is not proven."""
        try:
            async with asyncio.timeout(_SECONDS):
                await self._http(identifier, token, key_authorization(token, thumbprint))
        except (OSError, TimeoutError) as error:
            raise Problem("connection", f"{identifier} cannot be reached: {error}") from error

    async def _http(self, identifier: Identifier, token: str, expected: str) -> None:
        reader, writer = await asyncio.open_connection(identifier.value, self._settings().http_port)
        try:
            target = f"/.well-known/acme-challenge/{token}"
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {identifier.value}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while len(answer) < _LARGEST_ANSWER and (part := await reader.read(65536)):
                answer += part
        finally:
            writer.close()
        if not answer.rstrip().endswith(expected.encode()):
            raise Problem("incorrectResponse", "the key authorization was not shown")
