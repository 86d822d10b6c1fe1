"""Private keys that lie in a token, as the classes that `cryptography` signs certificates with.

Only `sign` is asked of them: it calls the token. Everything that would need the private value raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from handsel.pki import der

SignRaw = Callable[[bytes], bytes]
"""What the token does: ECDSA over a digest gives r and s side by side, RSA signs a DigestInfo, Ed25519 a message."""

_DIGEST_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}


def _hidden(*_: object, **__: object) -> NoReturn:
    raise TypeError("the key lies in a token and is never shown")


def _digest(data: bytes, algorithm: hashes.HashAlgorithm | Prehashed) -> tuple[bytes, hashes.HashAlgorithm]:
    if isinstance(algorithm, Prehashed):
        return data, algorithm._algorithm  # noqa: SLF001  # there is no other way to its name
    hasher = hashes.Hash(algorithm)
    hasher.update(data)
    return hasher.finalize(), algorithm


class TokenEcKey(ec.EllipticCurvePrivateKey):
    """An ECDSA key of a token."""

    def __init__(self, public: ec.EllipticCurvePublicKey, sign_raw: SignRaw) -> None:
        self._public = public
        self._sign_raw = sign_raw

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """The signature as a SEQUENCE of r and s (RFC 3279, section 2.2.3)."""
        raw = self._sign_raw(_digest(bytes(data), signature_algorithm.algorithm)[0])
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def __copy__(self) -> TokenEcKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenEcKey:
        return self

    exchange = private_numbers = private_bytes = _hidden


class TokenRsaKey(rsa.RSAPrivateKey):
    """An RSA key of a token. It signs as PKCS #1 version 1.5 says (RFC 8017, section 8.2)."""

    def __init__(self, public: rsa.RSAPublicKey, sign_raw: SignRaw) -> None:
        self._public = public
        self._sign_raw = sign_raw

    def sign(self, data: Any, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        if type(padding).__name__ != "PKCS1v15":
            raise TypeError("a key of a token signs as PKCS #1 version 1.5 says, and in no other way")
        digest, used = _digest(bytes(data), algorithm)
        info = der.sequence(der.oid(_DIGEST_OIDS[used.name]), der.element(der.NULL))
        return self._sign_raw(der.sequence(info, der.element(der.OCTET_STRING, digest)))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def __copy__(self) -> TokenRsaKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenRsaKey:
        return self

    decrypt = private_numbers = private_bytes = _hidden


class TokenEd25519Key(ed25519.Ed25519PrivateKey):
    """An Ed25519 key of a token."""

    def __init__(self, public: ed25519.Ed25519PublicKey, sign_raw: SignRaw) -> None:
        self._public = public
        self._sign_raw = sign_raw

    def sign(self, data: Any) -> bytes:
        return self._sign_raw(bytes(data))

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return self._public

    def __copy__(self) -> TokenEd25519Key:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenEd25519Key:
        return self

    private_bytes = private_bytes_raw = _hidden
