"""What is in a key store, whatever its format: keys with their chains, trusted certificates, secret keys.

Bytes that a library cannot take are kept with what is wrong with them: a store is read as far as it can be.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.utils import CryptographyDeprecationWarning

from handsel.pki.certificate import UNREADABLE, Certificate
from handsel.pki.keys import public_der
from handsel.pki.secret import Secret

LARGEST = 4 << 20
"""Bytes of a store."""
MOST_ENTRIES = 2_000
MOST_ROUNDS = 10_000_000
"""Of a password's derivation: some seconds. A file that asks for more is refused before any of it is done."""


class StoreKind(StrEnum):
    """The formats that are known here."""

    JKS = "jks"
    JCEKS = "jceks"
    PKCS12 = "pkcs12"
    BCFKS = "bcfks"
    PEM = "pem"


class Integrity(StrEnum):
    """Whether the store is as it was written.

    `CHECKED`: by the password. `NOT_CHECKED`: no password was given. `NONE`: the store carries no check.
    """

    CHECKED = "checked"
    NOT_CHECKED = "not checked"
    NONE = "none"


@dataclass(frozen=True)
class StoredCertificate:
    """A certificate as a store has it, DER."""

    der: bytes = field(repr=False)

    @cached_property
    def _read(self) -> tuple[Certificate | None, str]:
        try:
            with warnings.catch_warnings():
                # `cryptography` warns of serial numbers that are not positive; `inspect` says it as a problem.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                certificate = Certificate(self.der)
                certificate.parsed.subject, certificate.parsed.extensions  # noqa: B018  # both are read lazily
        except (ValueError, *UNREADABLE) as error:
            return None, str(error).splitlines()[0] if str(error) else "it cannot be read"
        return certificate, ""

    @property
    def certificate(self) -> Certificate | None:
        """It, read; None when it cannot be."""
        return self._read[0]

    @property
    def fault(self) -> str:
        """Why it cannot be read; empty when it can."""
        return self._read[1]

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, hex."""
        return hashlib.sha256(self.der).hexdigest()


@dataclass(frozen=True)
class StoredKey:
    """A private key as a store has it: PrivateKeyInfo (RFC 5958), DER, no longer encrypted."""

    pkcs8: Secret = field(repr=False)

    @cached_property
    def _read(self) -> tuple[PrivateKeyTypes | None, str]:
        try:
            return load_der_private_key(self.pkcs8.reveal(), None), ""
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            return None, str(error).splitlines()[0] if str(error) else "it cannot be read"

    @property
    def handle(self) -> PrivateKeyTypes | None:
        """The key as `cryptography` has it; None when it cannot be read."""
        return self._read[0]

    @property
    def fault(self) -> str:
        """Why it cannot be read; empty when it can."""
        return self._read[1]

    def belongs_to(self, certificate: StoredCertificate) -> bool:
        """Whether the certificate is for this key; also False when one of them cannot be read."""
        if self.handle is None or certificate.certificate is None:
            return False
        return public_der(self.handle.public_key()) == certificate.certificate.public_key_der


@dataclass(frozen=True)
class KeyEntry:
    """A private key with its chain, the leaf first.

    `key` None: it did not open; `locked` says why. `protection`: the algorithm that keeps it, for people.
    """

    alias: str
    key: StoredKey | None
    chain: tuple[StoredCertificate, ...]
    created: datetime | None = None
    locked: str = ""
    protection: str = ""


@dataclass(frozen=True)
class TrustedEntry:
    """A certificate that is believed, or merely kept: formats other than Java's do not tell."""

    alias: str
    certificate: StoredCertificate
    created: datetime | None = None


@dataclass(frozen=True)
class SecretEntry:
    """A secret key. `key` None: it did not open; `locked` says why. `algorithm`: such as `AES`."""

    alias: str
    algorithm: str
    key: Secret | None = field(repr=False)
    created: datetime | None = None
    locked: str = ""


Entry = KeyEntry | TrustedEntry | SecretEntry


@dataclass(frozen=True)
class Store:
    """A whole store, entries in the file's order. `notes`: how it is protected, what is weak or odd, a line each."""

    kind: StoreKind
    entries: tuple[Entry, ...]
    integrity: Integrity
    notes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[KeyEntry, ...]:
        return tuple(each for each in self.entries if isinstance(each, KeyEntry))

    @property
    def trusted(self) -> tuple[TrustedEntry, ...]:
        return tuple(each for each in self.entries if isinstance(each, TrustedEntry))


@dataclass(frozen=True)
class Passwords:
    """The passwords of a store, as bytes of UTF-8. `store` None: none was given, and what needs none is read.

    `key`: of the private keys, when it is another than the store's; `by_alias`: of single ones.
    """

    store: Secret | None = None
    key: Secret | None = None
    by_alias: Mapping[str, Secret] = field(default_factory=dict)

    def of_key(self, alias: str) -> Secret | None:
        """The password of one key."""
        return self.by_alias.get(alias) or self.key or self.store


def text_of(password: Secret) -> str:
    """A password as text. Raises `ValueError` when its bytes are not UTF-8."""
    return password.reveal().decode()


def duplicates(entries: Sequence[Entry]) -> list[str]:
    """The aliases that several entries have, compared as Java does: without regard to case."""
    seen: dict[str, int] = {}
    for each in entries:
        seen[each.alias.lower()] = seen.get(each.alias.lower(), 0) + 1
    return [alias for alias, count in seen.items() if count > 1]
