"""Key stores for programs that make their own TLS and want one: the workload's key with its chain, and the roots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handsel.agent.model import KeyPair
from handsel.pki.certificate import Certificate
from handsel.pki.keystore import KeyEntry, Passwords, StoredCertificate, StoredKey, TrustedEntry, jks, pkcs12
from handsel.pki.secret import Secret

ENDINGS = {"pkcs12": "p12", "jks": "jks"}
"""The formats that are written, and how their files end."""
_ALIAS = "identity"


@dataclass(frozen=True)
class StoreFile:
    """One file: `identity.p12` has the key, `trust.p12` the roots."""

    name: str
    content: bytes


def key_stores(formats: Sequence[str], pair: KeyPair, password: Secret, now: datetime) -> Iterator[StoreFile]:
    """The key and its chain in each format."""
    key = pair.key.handle.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    chain = tuple(StoredCertificate(each.der) for each in pair.chain)
    entry = KeyEntry(_ALIAS, StoredKey(Secret(key)), chain)
    yield from _written("identity", formats, (entry,), password, now)


def trust_stores(
    formats: Sequence[str], roots: Sequence[Certificate], password: Secret, now: datetime
) -> Iterator[StoreFile]:
    """The roots in each format."""
    entries = tuple(TrustedEntry(f"root{number}", StoredCertificate(each.der)) for number, each in enumerate(roots, 1))
    yield from _written("trust", formats, entries, password, now)


def _written(
    name: str, formats: Sequence[str], entries: Sequence[KeyEntry | TrustedEntry], password: Secret, now: datetime
) -> Iterator[StoreFile]:
    for each in formats:
        if each == "pkcs12":
            yield StoreFile(f"{name}.{ENDINGS[each]}", pkcs12.write(entries, Passwords(password)))
        elif each == "jks":
            yield StoreFile(f"{name}.{ENDINGS[each]}", jks.write(entries, Passwords(password), now))
