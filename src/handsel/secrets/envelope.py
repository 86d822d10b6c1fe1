"""Envelope encryption: each version under a key of its own, that key under the key-encryption key (KEK).

Both are AES-256-GCM with a random nonce (NIST SP 800-38D). What is sealed is bound to its name, number, kind and id,
and so is the wrapped key: a row that was put in another's place does not open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handsel.errors import SealBroken
from handsel.pki.secret import Secret
from handsel.secrets.model import Sealed, Version

KEY_BYTES, NONCE_BYTES = 32, 12
Random = Callable[[int], bytes]
"""So many random bytes."""


class KeyEncryptionKey(Protocol):
    """Wraps the keys of versions. `place`: `file`, `credential` or `token`. `is_quick`: it does not block."""

    @property
    def key_id(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def is_quick(self) -> bool: ...

    def wrap(self, key: Secret, bound_to: bytes) -> bytes:
        """Raises `StateError`."""
        ...

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> Secret:
        """Raises `SealBroken`, `StateError`."""
        ...


class LocalKey:
    """A key-encryption key that is in memory. Its id is a hash of it: another key is never taken for this one."""

    is_quick = True

    def __init__(self, key: Secret, place: str, random: Random) -> None:
        if len(key.reveal()) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._key = AESGCM(key.reveal())
        self._random = random
        self.place = place
        self.key_id = hashlib.sha256(b"handsel secrets key\0" + key.reveal()).hexdigest()[:16]

    def wrap(self, key: Secret, bound_to: bytes) -> bytes:
        nonce = self._random(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, key.reveal(), bound_to)

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> Secret:
        try:
            return Secret(self._key.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound_to))
        except (InvalidTag, ValueError) as error:
            raise broken(self.key_id) from error


def seal(value: Secret, version: Version, kek: KeyEncryptionKey, random: Random) -> Sealed:
    """A value as it lies at rest. Raises `StateError`."""
    bound_to = binding(version)
    key, nonce = Secret(random(KEY_BYTES)), random(NONCE_BYTES)
    ciphertext = AESGCM(key.reveal()).encrypt(nonce, value.reveal(), bound_to)
    return Sealed(kek.key_id, kek.wrap(key, bound_to), nonce, ciphertext)


def unseal(sealed: Sealed, version: Version, kek: KeyEncryptionKey) -> Secret:
    """The value. Raises `SealBroken`, `StateError`."""
    bound_to = binding(version)
    key = kek.unwrap(sealed.wrapped, bound_to)
    try:
        return Secret(AESGCM(key.reveal()).decrypt(sealed.nonce, sealed.ciphertext, bound_to))
    except (InvalidTag, ValueError) as error:
        raise broken(kek.key_id) from error


def rewrap(sealed_key: bytes, version: Version, before: KeyEncryptionKey, after: KeyEncryptionKey) -> bytes:
    """A version's key under another key. The value stays as it is. Raises `SealBroken`, `StateError`."""
    bound_to = binding(version)
    return after.wrap(before.unwrap(sealed_key, bound_to), bound_to)


def binding(version: Version) -> bytes:
    """What a sealed value belongs to, each part with its length before it."""
    parts = (version.name, str(version.number), str(version.kind), version.version_id)
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


def broken(key_id: str) -> SealBroken:
    return SealBroken(
        f"a secret in the database does not open with the key {key_id}: its row was changed or put in another's place",
        next_step="restore the database from a backup",
    )
