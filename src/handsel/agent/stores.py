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
    for each in _known(formats):
        yield StoreFile(f"identity.{ENDINGS[each]}", key_store(each, pair, _ALIAS, password, now))


def trust_stores(
    formats: Sequence[str], roots: Sequence[Certificate], password: Secret, now: datetime
) -> Iterator[StoreFile]:
    """The roots in each format."""
    for each in _known(formats):
        yield StoreFile(f"trust.{ENDINGS[each]}", trust_store(each, roots, password, now))


def key_store(kind: str, pair: KeyPair, alias: str, password: Secret, now: datetime) -> bytes:
    """One store with the key and its chain. Raises `StoreRefused` for a password that the format does not take."""
    key = pair.key.handle.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    chain = tuple(StoredCertificate(each.der) for each in pair.chain)
    return _written(kind, (KeyEntry(alias, StoredKey(Secret(key)), chain),), password, now)


def trust_store(kind: str, roots: Sequence[Certificate], password: Secret, now: datetime) -> bytes:
    """One store with the roots. Raises as `key_store`."""
    entries = tuple(TrustedEntry(f"root{number}", StoredCertificate(each.der)) for number, each in enumerate(roots, 1))
    return _written(kind, entries, password, now)


def _known(formats: Sequence[str]) -> list[str]:
    return [each for each in formats if each in ENDINGS]


def _written(kind: str, entries: Sequence[KeyEntry | TrustedEntry], password: Secret, now: datetime) -> bytes:
    if kind == "jks":
        return jks.write(entries, Passwords(password), now)
    return pkcs12.write(entries, Passwords(password))
