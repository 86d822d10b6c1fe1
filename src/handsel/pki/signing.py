"""Signatures over DER that is written here, by every kind of key (RFC 3279, 5758, 8410, 9881)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from handsel.pki import der
from handsel.pki.keys import KeyType, PrivateKey

_RSA_SHA256 = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.element(der.NULL))
_ALGORITHMS = {
    KeyType.P256: der.sequence(der.oid("1.2.840.10045.4.3.2")),
    KeyType.P384: der.sequence(der.oid("1.2.840.10045.4.3.3")),
    KeyType.ED25519: der.sequence(der.oid("1.3.101.112")),
    KeyType.RSA2048: _RSA_SHA256,
    KeyType.RSA3072: _RSA_SHA256,
    KeyType.RSA4096: _RSA_SHA256,
    KeyType.MLDSA44: der.sequence(der.oid("2.16.840.1.101.3.4.3.17")),
    KeyType.MLDSA65: der.sequence(der.oid("2.16.840.1.101.3.4.3.18")),
    KeyType.MLDSA87: der.sequence(der.oid("2.16.840.1.101.3.4.3.19")),
}


def signature_algorithm(key: PrivateKey) -> bytes:
    """The AlgorithmIdentifier of this key's signatures, DER."""
    return _ALGORITHMS[key.kind]


def sign_der(key: PrivateKey, data: bytes) -> bytes:
    """The signature over `data`, as it stands in a BIT STRING."""
    return sign_parts(key, (data,))


def sign_parts(key: PrivateKey, parts: Iterable[bytes]) -> bytes:
    """The same for data that is in parts, one after the other: what is large need not be joined to be hashed."""
    handle, digest = key.handle, key.digest
    if digest is None:  # Ed25519 and ML-DSA have their own
        return handle.sign(b"".join(parts))  # type: ignore[call-arg]  # no key of these kinds takes more
    hashing = hashlib.new(digest.name)
    for part in parts:
        hashing.update(part)
    hashed, algorithm = hashing.digest(), Prehashed(digest)
    if isinstance(handle, ec.EllipticCurvePrivateKey):
        return handle.sign(hashed, ec.ECDSA(algorithm))
    return handle.sign(hashed, padding.PKCS1v15(), algorithm)  # type: ignore[call-arg,arg-type]  # RSA is what is left
