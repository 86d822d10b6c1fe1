"""Private keys behind a password: PKCS #8 with PBES2 (RFC 5958, section 3; RFC 8018, section 6.2).

Written here because `cryptography` derives with 2048 rounds, which no password of a person's withstands for long; it
reads what is written here, as OpenSSL does.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from handsel.pki import der, pem_blocks
from handsel.pki.secret import Secret

ROUNDS = 600_000
"""Of PBKDF2 with HMAC-SHA-256: about a seventh of a second, once a key at a start."""

_PBES2, _PBKDF2 = der.oid("1.2.840.113549.1.5.13"), der.oid("1.2.840.113549.1.5.12")
_HMAC_SHA256 = der.sequence(der.oid("1.2.840.113549.2.9"), der.element(der.NULL))
_AES256_CBC = der.oid("2.16.840.1.101.3.4.1.42")
_BLOCK_BITS, _BLOCK_BYTES, _KEY_BYTES = 128, 16, 32


def encrypted_pem(pkcs8: bytes, password: Secret) -> bytes:
    """An ENCRYPTED PRIVATE KEY in PEM, of a PrivateKeyInfo in DER."""
    return pem_blocks.written("ENCRYPTED PRIVATE KEY", Sealer(password, ROUNDS).key(pkcs8))


class Sealer:
    """Encrypts with AES-256 in CBC mode (RFC 8018, section 6.2), all with one key, each with a vector of its own.

    The key is made once: a salt for each would cost each its rounds, and stop nobody who tries passwords on one.
    """

    def __init__(self, password: Secret, rounds: int) -> None:
        salt = os.urandom(_BLOCK_BYTES)
        self._key = hashlib.pbkdf2_hmac("sha256", password.reveal(), salt, rounds, _KEY_BYTES)
        derived = der.sequence(der.element(der.OCTET_STRING, salt), der.integer(rounds), _HMAC_SHA256)
        self._derivation = der.sequence(_PBKDF2, derived)

    def seal(self, content: bytes) -> tuple[bytes, bytes]:
        """How it is encrypted, an AlgorithmIdentifier in DER, and it."""
        vector = os.urandom(_BLOCK_BYTES)
        padder = padding.PKCS7(_BLOCK_BITS).padder()
        encryptor = Cipher(algorithms.AES256(self._key), modes.CBC(vector)).encryptor()
        hidden = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
        cipher = der.sequence(_AES256_CBC, der.element(der.OCTET_STRING, vector))
        return der.sequence(_PBES2, der.sequence(self._derivation, cipher)), hidden

    def key(self, pkcs8: bytes) -> bytes:
        """An EncryptedPrivateKeyInfo (RFC 5958, section 3) of a PrivateKeyInfo, both DER."""
        scheme, hidden = self.seal(pkcs8)
        return der.sequence(scheme, der.element(der.OCTET_STRING, hidden))
