"""Private and public keys. ECDSA P-256 is what handsel makes unless told otherwise (fast everywhere, RFC 5480)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
    PublicKeyTypes,
)

from handsel.pki.encrypted_key import encrypted_pem
from handsel.pki.secret import Secret

PublicKey = CertificateIssuerPublicKeyTypes
"""A public key that can sign: RSA, ECDSA, Ed25519 or ML-DSA."""


class KeyType(StrEnum):
    """The kinds of keys that are known here. `RSA2048` stands for 2048 to 3071 bits, and so on up to 4096."""

    P256 = "p256"
    P384 = "p384"
    ED25519 = "ed25519"
    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    MLDSA44 = "mldsa44"
    MLDSA65 = "mldsa65"
    MLDSA87 = "mldsa87"

    @property
    def is_quick(self) -> bool:
        """Whether a signature costs less than handing it to a thread: then it is made where one stands."""
        return self in (KeyType.P256, KeyType.ED25519)


_GENERATORS: Mapping[KeyType, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    KeyType.P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyType.P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyType.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyType.RSA2048: lambda: rsa.generate_private_key(65537, 2048),
    KeyType.RSA3072: lambda: rsa.generate_private_key(65537, 3072),
    KeyType.RSA4096: lambda: rsa.generate_private_key(65537, 4096),
    KeyType.MLDSA44: mldsa.MLDSA44PrivateKey.generate,
    KeyType.MLDSA65: mldsa.MLDSA65PrivateKey.generate,
    KeyType.MLDSA87: mldsa.MLDSA87PrivateKey.generate,
}
_CURVES = {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}
_OTHER_KINDS: Mapping[type, KeyType] = {
    ed25519.Ed25519PublicKey: KeyType.ED25519,
    mldsa.MLDSA44PublicKey: KeyType.MLDSA44,
    mldsa.MLDSA65PublicKey: KeyType.MLDSA65,
    mldsa.MLDSA87PublicKey: KeyType.MLDSA87,
}


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """A private key. It prints as stars; `pem()` gives a `Secret`.

    `handle` may also be a key that lies in a hardware module and only signs; then the key is `remote`.
    """

    handle: CertificateIssuerPrivateKeyTypes
    remote: bool = False

    @classmethod
    def generate(cls, kind: KeyType = KeyType.P256) -> PrivateKey:
        """A fresh key from the operating system's randomness."""
        return cls(_GENERATORS[kind]())

    @classmethod
    def from_pem(cls, pem: bytes, password: Secret | None = None) -> PrivateKey:
        """The key in a PEM. Raises `ValueError` when it cannot be read or is of a kind that is not used here."""
        try:
            handle = serialization.load_pem_private_key(pem, password=password.reveal() if password else None)
        except (TypeError, UnsupportedAlgorithm) as error:  # encrypted, not encrypted, or of a kind that is not known
            raise ValueError(f"the key cannot be read: {error}") from error
        kind_of(handle.public_key())
        return cls(handle)  # type: ignore[arg-type]  # kind_of refuses the kinds that cannot sign certificates

    def pem(self, password: Secret | None = None) -> Secret:
        """PKCS#8 in PEM, encrypted when there is a password."""
        encoding = serialization.Encoding.PEM if password is None else serialization.Encoding.DER
        plain = self.handle.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Secret(plain if password is None else encrypted_pem(plain, password))

    @cached_property
    def kind(self) -> KeyType:
        return kind_of(self.handle.public_key())

    @property
    def is_quick(self) -> bool:
        """Whether a signature costs less than handing it to a thread: never when it is asked of a module."""
        return self.kind.is_quick and not self.remote

    @property
    def digest(self) -> hashes.SHA256 | hashes.SHA384 | None:
        """The hash that this key signs with: None for Ed25519 and ML-DSA, which have their own."""
        match self.kind:
            case KeyType.P384:
                return hashes.SHA384()
            case KeyType.P256 | KeyType.RSA2048 | KeyType.RSA3072 | KeyType.RSA4096:
                return hashes.SHA256()
            case _:
                return None

    def public_der(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        return public_der(self.handle.public_key())

    def pin(self) -> str:
        """The pin of the public half, see `pin`."""
        return pin(self.public_der())

    def __repr__(self) -> str:
        return "PrivateKey(****)"


def kind_of(key: PublicKeyTypes) -> KeyType:
    """The kind of a public key. Raises `ValueError` for kinds and sizes that are not used here."""
    if isinstance(key, rsa.RSAPublicKey):
        return _kind_of_rsa(key.key_size)
    if isinstance(key, ec.EllipticCurvePublicKey):
        found = _CURVES.get(key.curve.name)
        if found is None:
            raise ValueError(f"keys on the curve {key.curve.name} are not used here")
        return found
    for known, kind in _OTHER_KINDS.items():
        if isinstance(key, known):
            return kind
    raise ValueError("a key of this kind is not used here")


def _kind_of_rsa(bits: int) -> KeyType:
    if not 2048 <= bits <= 4096:
        raise ValueError(f"an RSA key has 2048 to 4096 bits here, not {bits}")
    if bits == 4096:
        return KeyType.RSA4096
    return KeyType.RSA3072 if bits >= 3072 else KeyType.RSA2048


def public_der(key: PublicKeyTypes) -> bytes:
    """The SubjectPublicKeyInfo of `key`, DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_pem(key: PublicKeyTypes) -> bytes:
    """The SubjectPublicKeyInfo of `key`, PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def pin(subject_public_key_info: bytes) -> str:
    """The SHA-256 of a SubjectPublicKeyInfo in hex: what a join ticket pins (as in RFC 7469, section 2.4)."""
    return hashlib.sha256(subject_public_key_info).hexdigest()
