"""Where the CA's keys are: what a key store can do, whatever it is made of."""

from __future__ import annotations

from typing import Protocol

from handsel.pki.keys import KeyType, PrivateKey


class KeyStore(Protocol):
    """Keys by name, such as `root` and `issuing`. Every method may raise `StateError`."""

    @property
    def custody(self) -> str:
        """In whose keeping the keys are, for people: one line."""

    @property
    def is_shared(self) -> bool:
        """Whether others may keep keys there too, so that a key which is there need not be this authority's."""

    def load(self, name: str) -> PrivateKey:
        """The key of this name; it must be there."""

    def make(self, name: str, kind: KeyType) -> PrivateKey:
        """A new key of this name. One that is there already is kept and given instead, when it is of this kind."""

    def exists(self, name: str) -> bool:
        """Whether there is a key of this name."""

    def remove(self, name: str) -> None:
        """Destroy the key of this name; nothing happens when there is none."""
