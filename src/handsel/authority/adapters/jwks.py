"""Whom the rules of registration believe: files of CAs, files of keys, and the keys that issuers show over HTTPS."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import structlog

from handsel.authority.attest import tokens
from handsel.authority.attest.registration import ATTESTORS
from handsel.errors import Refused
from handsel.model.authority import Registration

_log = structlog.get_logger("handsel.server")
_LARGEST = 256 << 10
_TIMEOUT = httpx2.Timeout(5.0)
_FRESH_SECONDS = 300.0
# A token that names a key we do not know makes us ask again, but not for every stranger's token.
_AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class _Kept:
    """What an issuer showed at a moment; no keys when it could not be asked."""

    keys: tokens.Keys
    at: float

    def has(self, wanted: str | None) -> bool:
        return bool(self.keys) and (wanted is None or any(key.kid == wanted for key in self.keys))


class TrustSources:
    """What each rule believes, read anew when it may have changed. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._asking = asyncio.Lock()

    async def of(self, rule: Registration, token: str = "") -> Any:
        """The CAs or keys of a rule. Raises `Refused` when they cannot be had."""
        try:
            if rule.roots:
                return ATTESTORS[rule.attestor].read_trust(_read(rule.roots))
            if rule.keys and "://" not in rule.keys:
                return tokens.read_trust(_read(rule.keys))
        except (OSError, ValueError) as error:
            # Where our files lie is no business of whoever knocks.
            _log.error("a rule of registration cannot be used", rule=rule.name, problem=str(error))
            raise Refused("what the rule believes cannot be read: the server's log says why") from error
        return await self._fetched(rule, tokens.names_key(token))

    async def _fetched(self, rule: Registration, wanted: str | None) -> tokens.Keys:
        place = (rule.issuer, rule.keys, rule.ca)
        async with self._asking:  # of many who come at once, one asks
            kept = self._kept.get(place)
            age = self._clock() - kept.at if kept is not None else math.inf
            if kept is None or age >= (_FRESH_SECONDS if kept.has(wanted) else _AGAIN_SECONDS):
                kept = _Kept(await _fetch_keys(rule), self._clock())
                self._kept[place] = kept
        if not kept.keys:
            raise Refused(f"the keys of {rule.issuer} cannot be had: the server's log says why")
        return kept.keys


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return content


async def _fetch_keys(rule: Registration) -> tokens.Keys:
    """The keys of a rule's issuer; none when they cannot be had, which is logged."""
    try:
        async with httpx2.AsyncClient(verify=_context(rule.ca), timeout=_TIMEOUT, trust_env=False) as client:
            address = rule.keys or await _discover(client, rule.issuer)
            return tokens.read_trust(await _get(client, address))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        _log.error("the keys of an issuer cannot be had", rule=rule.name, problem=str(error) or type(error).__name__)
        return ()


async def _discover(client: httpx2.AsyncClient, issuer: str) -> str:
    """The address of an issuer's keys (OpenID Connect Discovery 1.0, section 4). Raises `ValueError`."""
    try:
        content = json.loads(await _get(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
        said, address = content["issuer"], content["jwks_uri"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it shows no configuration") from error
    if said != issuer:
        raise ValueError(f"it calls itself {str(said)[:100]!r}")
    if not isinstance(address, str) or not address.startswith("https://"):
        raise ValueError("its keys have no https address")
    return address


async def _get(client: httpx2.AsyncClient, address: str) -> bytes:
    async with client.stream("GET", address) as response:
        if response.status_code != httpx2.codes.OK:
            raise ValueError(f"{address} answers {response.status_code}")
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _LARGEST:
                raise ValueError(f"{address} answers with more than {_LARGEST} bytes")
    return bytes(content)


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        context.load_verify_locations(cadata=_read(ca).decode())
    else:
        context.load_default_certs()
    return context
