"""One probe, whatever the challenge: bounded in time and number, and every failure a problem for the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from handsel.acme.jws import key_authorization
from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme import proof
from handsel.authority.adapters.probes import http, tls_alpn
from handsel.authority.adapters.probes.names import Lookup
from handsel.model.authority import Validation

_SECONDS = 10.0
_AT_ONCE = 100


class Probes:
    """Looks at what clients show, as the settings of that moment say."""

    def __init__(self, settings: Callable[[], Validation], *, seconds: float = _SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def __call__(
        self, kind: str, identifier: Identifier, token: str, thumbprint: str, *, account: str = "",
        wildcard: bool = False,
    ) -> None:  # fmt: skip
        """Raises `Problem` when control is not proven: `connection`, `dns`, `tls`, `incorrectResponse`, `caa`."""
        settings = self._settings()
        lookup = Lookup(settings)
        try:
            async with self._room, asyncio.timeout(self._seconds):
                await _look(kind, identifier, token, key_authorization(token, thumbprint), settings, lookup)
                if settings.caa and identifier.type == "dns":
                    await _ask_caa(kind, identifier, settings, lookup, account=account, wildcard=wildcard)
        except TimeoutError as error:
            raise Problem("connection", f"{identifier} did not answer within {self._seconds:g} s") from error


async def _look(
    kind: str, identifier: Identifier, token: str, expected: str, settings: Validation, lookup: Lookup
) -> None:
    match kind:
        case "http-01":
            await http.look(identifier, token, expected, settings, lookup)
        case "tls-alpn-01":
            await tls_alpn.look(identifier, expected, settings, lookup)
        case "dns-01":
            name = f"_acme-challenge.{identifier.value}"
            proof.check_txt(await lookup.texts(name), expected, name)
        case _:
            raise Problem("malformed", f"challenges of the kind {kind!r} are not looked at here")


async def _ask_caa(
    kind: str, identifier: Identifier, settings: Validation, lookup: Lookup, *, account: str, wildcard: bool
) -> None:
    """RFC 8659, section 3: the records of the name, or of the closest name above it that has some."""
    labels = identifier.value.split(".")
    for depth in range(len(labels)):
        records = await lookup.caa(".".join(labels[depth:]))
        if records:
            why = proof.caa_forbids(records, settings.caa_names, wildcard=wildcard, account=account, kind=kind)
            if why is not None:
                raise Problem("caa", f"{identifier}: {why}")
            return
