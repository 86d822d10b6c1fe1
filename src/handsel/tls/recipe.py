"""From a declared context and the stores that it names to what a TLS library needs: a key with its chain, and roots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handsel.errors import ContextRefused, KeyPasswordWrong
from handsel.model.context import TlsContext
from handsel.pki.certificate import Certificate
from handsel.pki.keystore import KeyEntry, Store, StoredCertificate
from handsel.pki.secret import Secret


@dataclass(frozen=True)
class Identity:
    """A private key, PKCS#8 in PEM, and its chain, the leaf first."""

    key: Secret = field(repr=False)
    chain: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


@dataclass(frozen=True)
class Recipe:
    """Everything that a context is made of. `roots` None: the system's."""

    context: TlsContext
    identity: Identity | None
    roots: tuple[Certificate, ...] | None


def identity(where: str, store: Store, alias: str, chain: Store | None = None) -> Identity:
    """The key that a context uses, out of its store. `where` is the store's file, for the error.

    `chain`: a file of its own with the certificates. Raises `ContextRefused`, `KeyPasswordWrong`.
    """
    entry = _chosen(where, store, alias)
    if entry.key is None:
        raise KeyPasswordWrong(f"{where}: the key {entry.alias!r} did not open: {entry.locked}")
    if entry.key.handle is None:
        raise ContextRefused(f"{where}: the key {entry.alias!r} cannot be read: {entry.key.fault}")
    certificates = [*entry.chain, *(_all(chain) if chain is not None else [])]
    leaf = next((each for each in certificates if entry.key.belongs_to(each)), None)
    if leaf is None:
        raise ContextRefused(
            f"{where}: there is no certificate for the key {entry.alias!r}",
            next_step="put its chain into the store, or name its file as chain",
        )
    pem = entry.key.handle.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(Secret(pem), in_order(_read(where, leaf), [_read(where, each) for each in certificates]))


def _chosen(where: str, store: Store, alias: str) -> KeyEntry:
    if alias:
        found = [each for each in store.keys if each.alias == alias]
        found = found or [each for each in store.keys if each.alias.lower() == alias.lower()]
        if len(found) == 1:
            return found[0]
        known = ", ".join(each.alias for each in store.keys) or "none"
        raise ContextRefused(f"{where}: there is no key {alias!r}; the keys are: {known}")
    if len(store.keys) == 1:
        return store.keys[0]
    if not store.keys:
        raise ContextRefused(f"{where}: there is no private key in it")
    names = ", ".join(each.alias for each in store.keys)
    raise ContextRefused(f"{where}: it has several keys: {names}", next_step="say which one as alias")


def roots(where: str, store: Store) -> tuple[Certificate, ...]:
    """The certificates that a trust store stands for. A key's own chain is not believed. Raises `ContextRefused`."""
    found = tuple(_read(where, each.certificate) for each in store.trusted)
    if not found:
        raise ContextRefused(f"{where}: there is no certificate in it that could be trusted")
    return found


def in_order(leaf: Certificate, others: Iterable[Certificate]) -> tuple[Certificate, ...]:
    """A chain from a heap of certificates: the leaf, then each one's issuer, without the root at its end."""
    chain, heap = [leaf], {each.der: each for each in others if each.der != leaf.der}
    while True:
        below = chain[-1]
        above = next((each for each in heap.values() if _issued(below, each)), None)
        if above is None:
            break
        del heap[above.der]
        chain.append(above)
    is_root = len(chain) > 1 and chain[-1].parsed.issuer == chain[-1].parsed.subject
    return tuple(chain[:-1] if is_root else chain)


def _issued(below: Certificate, above: Certificate) -> bool:
    if below.parsed.issuer != above.parsed.subject or below.parsed.issuer == below.parsed.subject:
        return False
    return below.authority_key_id is None or above.key_id is None or below.authority_key_id == above.key_id


def _all(store: Store) -> Sequence[StoredCertificate]:
    return [*(each for entry in store.keys for each in entry.chain), *(each.certificate for each in store.trusted)]


def _read(where: str, stored: StoredCertificate) -> Certificate:
    if stored.certificate is None:
        raise ContextRefused(f"{where}: the certificate {stored.fingerprint[:16]} cannot be read: {stored.fault}")
    return stored.certificate
