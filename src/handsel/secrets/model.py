"""The nouns of secrets. A value is always a `Secret`, and only `envelope` and `checks` look into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from handsel.model.secret import unit_of

LARGEST = 1 << 20
"""Bytes of one value, and of all values that are put at once."""
KEPT = 10
"""How many versions are kept unless somebody says otherwise."""
MOST_KEPT = 100


class Kind(StrEnum):
    """What a secret is, which is checked when it is put."""

    OPAQUE = "opaque"
    PASSWORD = "password"  # noqa: S105  # a kind
    KEY_STORE = "key-store"
    TRUST_STORE = "trust-store"
    CERTIFICATE = "certificate"
    CRL = "crl"
    CONTEXT = "context"


@dataclass(frozen=True)
class Entry:
    """One secret, without any value. `number`: of its newest version. `keep`: how many versions stay."""

    name: str
    kind: Kind
    labels: Mapping[str, str]
    keep: int
    number: int
    created: datetime
    created_by: str

    @property
    def unit(self) -> str:
        return unit_of(self.name)


@dataclass(frozen=True)
class Version:
    """What is known of one version. `version_id` is never given again, also when a name is.

    `expires`: from then on it is delivered no more. `facts`: what its content says of itself, for people.
    """

    name: str
    number: int
    version_id: str
    kind: Kind
    size: int
    expires: datetime | None
    facts: str
    put_at: datetime
    put_by: str

    def is_expired(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True)
class Sealed:
    """A value at rest: sealed with a key of its own, which is wrapped by the key-encryption key `kek`."""

    kek: str
    wrapped: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """A unit (a group, or a secret without one) goes to a service or a SPIFFE ID."""

    unit: str
    grantee: str
    at: datetime
    by: str


@dataclass(frozen=True)
class KeyRecord:
    """A key-encryption key that seals something, or did. `place`: `file`, `credential` or `token`."""

    key_id: str
    place: str
    made: datetime
    active: bool


# Writes


@dataclass(frozen=True)
class VersionPut:
    """A version is there from now on. Conflicts when its number is not the next one; old versions beyond `keep` go."""

    entry: Entry
    version: Version
    sealed: Sealed


@dataclass(frozen=True)
class Deleted:
    """A secret is gone with every version. Conflicts when there is none."""

    name: str


@dataclass(frozen=True)
class Granted:
    grant: Grant


@dataclass(frozen=True)
class GrantTaken:
    """Conflicts when there is no such grant."""

    unit: str
    grantee: str


@dataclass(frozen=True)
class Delivered:
    """A host got a version for a service. Conflicts when it got it before."""

    host: str
    service: str
    version_id: str
    at: datetime


@dataclass(frozen=True)
class KeyActivated:
    """This key seals from now on. Conflicts unless the key that did is `before` (None: none did)."""

    record: KeyRecord
    before: str | None


@dataclass(frozen=True)
class Rewrapped:
    """A version's key is wrapped by another key. Conflicts when `before` does not wrap it any more."""

    version_id: str
    before: str
    kek: str
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True)
class KeyForgotten:
    """Nothing is sealed under this key any more. Conflicts when something is."""

    key_id: str
