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
    return pem_blocks.written("ENCRYPTED PRIVATE KEY", encrypted_der(pkcs8, password, ROUNDS))


def encrypted_der(pkcs8: bytes, password: Secret, rounds: int) -> bytes:
    """An EncryptedPrivateKeyInfo (RFC 5958, section 3) of a PrivateKeyInfo, both DER."""
    scheme, hidden = pbes2(pkcs8, password, rounds)
    return der.sequence(scheme, der.element(der.OCTET_STRING, hidden))


def pbes2(content: bytes, password: Secret, rounds: int) -> tuple[bytes, bytes]:
    """How it is encrypted, an AlgorithmIdentifier, and it (RFC 8018, section 6.2): AES-256-CBC, HMAC-SHA-256."""
    salt, vector = os.urandom(_BLOCK_BYTES), os.urandom(_BLOCK_BYTES)
    key = hashlib.pbkdf2_hmac("sha256", password.reveal(), salt, rounds, _KEY_BYTES)
    padder, encryptor = (
        padding.PKCS7(_BLOCK_BITS).padder(),
        Cipher(algorithms.AES256(key), modes.CBC(vector)).encryptor(),
    )
    hidden = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    derived = der.sequence(der.element(der.OCTET_STRING, salt), der.integer(rounds), _HMAC_SHA256)
    scheme = der.sequence(
        der.sequence(_PBKDF2, derived), der.sequence(_AES256_CBC, der.element(der.OCTET_STRING, vector))
    )
    return der.sequence(_PBES2, scheme), hidden
