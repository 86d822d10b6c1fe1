"""Nonces of ACME (RFC 8555, section 6.5): they prove themselves, and each is taken once.

A nonce is a counter and a time under authenticated encryption, so nothing is kept for those that are never used. One
process keeps the used ones as a bitmap in memory, and its key dies with it: a nonce from before a restart is refused,
and the client tries again with a fresh one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handsel.acme import jws
from handsel.acme.problems import Problem
from handsel.store.outcome import Writes

LIFETIME_SECONDS = 3600
_MOST_KEPT = 1 << 22
"""Nonces that are looked back on: half a megabyte of bits. Older ones are refused."""
_IV_BYTES, _TIME_BYTES = 12, 5
_PREFIX_BYTES = 4


class Nonces(Protocol):
    """Where nonces come from and go to."""

    def mint(self) -> str:
        """A fresh nonce."""
        ...

    def spend(self, nonce: str) -> Writes:
        """Take a nonce that came back. Raises `Problem` (`badNonce`).

        What is returned must be part of the commit that the request leads to: with several servers only the database
        knows whether another one has taken it.
        """
        ...


class SealedNonces:
    """The form of a nonce: base64url of iv, and of the time under AES-GCM. The iv is a prefix and a counter."""

    def __init__(self, key: bytes, prefix: bytes, clock: Callable[[], float]) -> None:
        self._cipher = AESGCM(key)
        self._prefix = prefix
        self._clock = clock
        self._counter = 0

    def mint(self) -> str:
        iv = self._prefix + self._counter.to_bytes(_IV_BYTES - len(self._prefix), "big")
        self._counter += 1
        return jws.encode(iv + self._cipher.encrypt(iv, int(self._clock()).to_bytes(_TIME_BYTES, "big"), None))

    def open(self, nonce: str) -> tuple[bytes, int]:
        """The prefix and counter of a nonce of ours that is not too old. Raises `Problem`."""
        try:
            sealed = jws.decode(nonce, "the nonce")
            made = int.from_bytes(self._cipher.decrypt(sealed[:_IV_BYTES], sealed[_IV_BYTES:], None), "big")
        except (Problem, InvalidTag, ValueError):
            raise bad_nonce() from None
        if not -1 <= self._clock() - made < LIFETIME_SECONDS:
            raise bad_nonce()
        return sealed[:_PREFIX_BYTES], int.from_bytes(sealed[_PREFIX_BYTES:_IV_BYTES], "big")


class MemoryNonces:
    """The nonces of a server that is alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._sealed = SealedNonces(AESGCM.generate_key(128), secrets.token_bytes(_PREFIX_BYTES), clock)
        self._first = 0
        self._used = bytearray(1024)

    def mint(self) -> str:
        return self._sealed.mint()

    def spend(self, nonce: str) -> Writes:
        _, counter = self._sealed.open(nonce)
        place, bit = divmod(counter - self._first, 8)
        if counter < self._first:
            raise bad_nonce()
        if place >= len(self._used):
            self._used.extend(bytes(place + 1 - len(self._used)))
        if self._used[place] & 1 << bit:
            raise bad_nonce()
        self._used[place] |= 1 << bit
        if len(self._used) * 8 > _MOST_KEPT:
            half = len(self._used) // 2
            del self._used[:half]
            self._first += half * 8
        return ()


def bad_nonce() -> Problem:
    """The refusal that makes a client try again with the nonce that comes with it."""
    return Problem("badNonce", "this nonce is not of this server, too old, or was used before")
