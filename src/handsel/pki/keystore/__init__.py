"""Key stores of every common format, told apart by their bytes and never by their names.

`read(content, Passwords(...))` gives a `Store`; each format is a module with `read` and, where it is written, `write`.
"""

from __future__ import annotations

from handsel.pki.keystore.formats import detect, read
from handsel.pki.keystore.model import (
    LARGEST,
    Entry,
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    Store,
    StoredCertificate,
    StoredKey,
    StoreKind,
    TrustedEntry,
)

__all__ = [
    "LARGEST", "Entry", "Integrity", "KeyEntry", "Passwords", "SecretEntry", "Store", "StoreKind", "StoredCertificate",
    "StoredKey", "TrustedEntry", "detect", "read",
]  # fmt: skip
