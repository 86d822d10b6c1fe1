"""A new store's entries, of what lies in PEM files: a key with its chain in the right order, trusted certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handsel.errors import KeyPasswordWrong, StoreRefused
from handsel.pki.keystore.chains import Heap
from handsel.pki.keystore.model import Entry, KeyEntry, SecretEntry, Store, StoredCertificate, TrustedEntry

_USUAL_ALIAS = "key"
"""Of a key whose certificate has no name."""


def certificates(store: Store) -> list[StoredCertificate]:
    """All certificates of a file, in its order, each once."""
    found: dict[bytes, StoredCertificate] = {}
    for each in store.entries:
        chain = (
            each.chain if isinstance(each, KeyEntry) else (each.certificate,) if isinstance(each, TrustedEntry) else ()
        )
        found |= {one.der: one for one in chain if one.der not in found}
    return list(found.values())


def key_entry(
    store: Store, beside: Sequence[StoredCertificate], alias: str
) -> tuple[KeyEntry, list[StoredCertificate]]:
    """The one key of a file with its chain, leaf first, and the certificates that are not of this chain.

    The chain's certificates lie in the same file or `beside` it. Raises `StoreRefused`, `KeyPasswordWrong`.
    """
    if len(store.keys) != 1 or any(isinstance(each, SecretEntry) for each in store.entries):
        raise StoreRefused(f"one private key is expected in it, and there are {len(store.keys) or 'none'}")
    (entry,) = store.keys
    if entry.key is None:
        raise KeyPasswordWrong(
            f"the key is locked: {entry.locked}", next_step="name the file with its password: --key-password-file"
        )
    if entry.key.handle is None:
        raise StoreRefused("its key is malformed, or of a kind that is not known here")
    everything = list({each.der: each for each in (*beside, *certificates(store))}.values())
    heap = Heap(everything)
    leaf = heap.of_key(entry.key)
    if leaf is None:
        raise StoreRefused(
            "there is no certificate for its key", next_step="name the file with the key's certificates: --chain"
        )
    chain = heap.chain(leaf)
    rest = [each for each in everything if each not in chain]
    return KeyEntry(alias or _alias_of(leaf) or _USUAL_ALIAS, entry.key, chain), rest


def trusted(found: Sequence[StoredCertificate], there: Sequence[Entry]) -> Iterator[TrustedEntry]:
    """An entry for each certificate, called by its subject; a number is added where something is called so already."""
    if not found:
        raise StoreRefused("there is no certificate in it")
    taken = {each.alias.lower() for each in there}
    for number, each in enumerate(found, 1):
        if each.certificate is None:
            raise StoreRefused(f"certificate {number} in it cannot be read")
        name = alias = _alias_of(each) or "trusted"
        count = 1
        while alias.lower() in taken:
            count += 1
            alias = f"{name}-{count}"
        taken.add(alias.lower())
        yield TrustedEntry(alias, each)


def _alias_of(stored: StoredCertificate) -> str:
    """Its first DNS name, else its subject, in letters that a terminal shows, as small as Java writes them."""
    certificate = stored.certificate
    if certificate is None:
        return ""
    name = certificate.dns_names[0] if certificate.dns_names else certificate.subject
    return "".join(each for each in name.lower() if each.isprintable())[:128]
