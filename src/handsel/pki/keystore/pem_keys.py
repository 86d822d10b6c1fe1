"""Private keys in PEM of every kind: PKCS#8 (RFC 5958), encrypted or not, and older ones (RFC 1421, 5915, 8017)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from handsel.pki.keystore.shrouded import IN_CLEAR, Opened, Opener, Shroud, check_private_key
from handsel.pki.secret import Secret

PLAIN, ENCRYPTED = "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"
_TRADITIONAL = ("RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")
LABELS = (PLAIN, ENCRYPTED, *_TRADITIONAL)


@dataclass(frozen=True)
class KeyBlock:
    """A block with a key. `dek`: its DEK-Info header, empty when there is none (RFC 1421, section 4.6.1.3)."""

    label: str
    data: bytes = field(repr=False)
    dek: str = ""


def look(block: KeyBlock, opener: Opener) -> Shroud | None:
    """How it is encrypted, None when it is not. Raises `StoreRefused` when opening it takes too much."""
    if block.label == ENCRYPTED:
        return opener.plan(block.data)
    return opener.plan_dek(block.dek, block.data) if block.dek else None


def open_key(block: KeyBlock, shroud: Shroud | None, alias: str, opener: Opener) -> Opened:
    """Its PrivateKeyInfo, or why there is none."""
    finish = _pkcs8 if block.label in _TRADITIONAL else None
    if shroud:
        return opener.open(shroud, alias, finish)
    try:
        plain = finish(block.data) if finish else block.data
        check_private_key(plain)
    except ValueError as error:
        return Opened(None, f"it cannot be read: {error}", IN_CLEAR)
    return Opened(Secret(plain), "", IN_CLEAR)


def _pkcs8(data: bytes) -> bytes:
    """A key of RSA, EC or DSA as a PrivateKeyInfo. Raises `ValueError`."""
    try:
        return load_der_private_key(data, None).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error).partition("\n")[0][:120]) from error
