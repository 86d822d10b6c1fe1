"""Signatures of keys over plain bytes: what a key of any kind says, and whether it said it."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_SMALLEST_RSA = 2048


def sign(key: PrivateKeyTypes, content: bytes) -> bytes:
    """A signature: ECDSA with the hash of the curve's size, RSA-PSS with SHA-256, Ed25519, ML-DSA.

    Raises `ValueError` for keys that do not sign.
    """
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(content, ec.ECDSA(_digest(key.curve)))
        case rsa.RSAPrivateKey():
            return key.sign(content, _PSS, hashes.SHA256())
        case (
            ed25519.Ed25519PrivateKey()
            | mldsa.MLDSA44PrivateKey()
            | mldsa.MLDSA65PrivateKey()
            | mldsa.MLDSA87PrivateKey()
        ):
            return key.sign(content)
    raise ValueError("a key of this kind does not sign here")


def holds(key: PublicKeyTypes, signature: bytes, content: bytes) -> bool:
    """Whether `signature` is by the private half of `key`, over `content`. Weak RSA keys hold for nothing."""
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, content, ec.ECDSA(_digest(key.curve)))
            case rsa.RSAPublicKey():
                key.verify(signature, content, _PSS, hashes.SHA256())
                return key.key_size >= _SMALLEST_RSA
            case (
                ed25519.Ed25519PublicKey()
                | mldsa.MLDSA44PublicKey()
                | mldsa.MLDSA65PublicKey()
                | mldsa.MLDSA87PublicKey()
            ):
                key.verify(signature, content)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _digest(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    if curve.key_size > 384:
        return hashes.SHA512()
    return hashes.SHA384() if curve.key_size > 256 else hashes.SHA256()
