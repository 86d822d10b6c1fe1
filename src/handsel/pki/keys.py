"""Private and public keys. ECDSA P-256 is what handsel makes (fast everywhere, RFC 5480)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.pki.secret import Secret


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """An ECDSA P-256 private key. It prints as stars; `pem()` gives a `Secret`."""

    handle: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> PrivateKey:
        """A fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> PrivateKey:
        """The key in an unencrypted PEM. Raises `ValueError` when it holds no P-256 key."""
        try:
            handle = serialization.load_pem_private_key(pem, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:  # encrypted, or of a kind that is not known
            raise ValueError(f"the key cannot be read: {error}") from error
        if not isinstance(handle, ec.EllipticCurvePrivateKey) or not isinstance(handle.curve, ec.SECP256R1):
            raise ValueError("the key is not ECDSA P-256")
        return cls(handle)

    def pem(self) -> Secret:
        """PKCS#8, unencrypted, in PEM."""
        return Secret(
            self.handle.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def public_der(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        return public_der(self.handle.public_key())

    def pin(self) -> str:
        """The pin of the public half, see `pin`."""
        return pin(self.public_der())

    def __repr__(self) -> str:
        return "PrivateKey(****)"


def public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """The SubjectPublicKeyInfo of `key`, DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pin(subject_public_key_info: bytes) -> str:
    """The SHA-256 of a SubjectPublicKeyInfo in hex: what a join ticket pins (as in RFC 7469, section 2.4)."""
    return hashlib.sha256(subject_public_key_info).hexdigest()
