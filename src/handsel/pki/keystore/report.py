"""What is in a key store and what is wrong with it, in the words that `pki.inspect` has for certificates."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from handsel.pki import inspect
from handsel.pki.certificate import UNREADABLE
from handsel.pki.inspect import Facts
from handsel.pki.keystore.model import (
    Entry,
    Integrity,
    KeyEntry,
    SecretEntry,
    Store,
    StoredCertificate,
    StoreKind,
    TrustedEntry,
)
from handsel.pki.weak_keys import weakness


@dataclass(frozen=True)
class EntryReport:
    """One entry. `kind`: `key`, `trusted` or `secret`. `certificates`: None for one that cannot be read.

    `chain`: how they hang together, in a sentence; empty when there is nothing to say. `locked`: why it did not open.
    `faults`: what is wrong beside what is wrong with single certificates.
    """

    alias: str
    kind: str
    created: datetime | None
    certificates: tuple[Facts | None, ...]
    chain: str
    protection: str
    locked: str
    faults: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong; of certificates above the leaf it is said whose it is."""
        wrong = list(self.faults)
        for number, facts in enumerate(self.certificates, 1):
            whose = f"certificate {number} ({facts.subject}): " if facts and number > 1 else ""
            wrong += [f"{whose}{problem}" for problem in facts.problems] if facts else []
        return tuple(wrong)

    @property
    def leaf(self) -> Facts | None:
        return self.certificates[0] if self.certificates else None


@dataclass(frozen=True)
class StoreReport:
    """A whole store. `notes`: how it is protected, and what is weak or odd about the store itself."""

    kind: StoreKind
    integrity: Integrity
    entries: tuple[EntryReport, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any entry; notes do not count."""
        return not any(each.problems for each in self.entries)


def report(store: Store, now: datetime) -> StoreReport:
    """Everything there is to say about a store. Never raises for what strangers wrote into it."""
    with warnings.catch_warnings():
        # `cryptography` warns of serial numbers that are not positive; here it is said as a problem.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        trusted = frozenset(map(_subject, (each.certificate for each in store.trusted)))
        entries = tuple(_entry(each, trusted, now) for each in store.entries)
    return StoreReport(store.kind, store.integrity, entries, store.notes)


def _entry(entry: Entry, trusted: frozenset[bytes], now: datetime) -> EntryReport:
    match entry:
        case KeyEntry():
            found = tuple(_facts(each, now) for each in entry.chain)
            words, wrong = _chain(entry.chain, trusted)
            faults = (*_key_faults(entry, found), *wrong, *_unreadable(entry.chain, found))
            return EntryReport(entry.alias, "key", entry.created, found, words, entry.protection, entry.locked, faults)
        case TrustedEntry():
            found = (_facts(entry.certificate, now),)
            faults = tuple(_unreadable((entry.certificate,), found))
            return EntryReport(entry.alias, "trusted", entry.created, found, "", "", "", faults)
        case SecretEntry():
            locked = (f"locked: {entry.locked}",) if entry.locked else ()
            return EntryReport(entry.alias, "secret", entry.created, (), "", entry.algorithm, entry.locked, locked)


def _facts(stored: StoredCertificate, now: datetime) -> Facts | None:
    try:
        return inspect.facts(stored.certificate, now) if stored.certificate else None
    except (ValueError, TypeError, *UNREADABLE):
        return None


def _unreadable(chain: Sequence[StoredCertificate], found: Sequence[Facts | None]) -> Iterator[str]:
    for number, (stored, facts) in enumerate(zip(chain, found, strict=True), 1):
        if facts is None:
            yield f"certificate {number} cannot be read; its SHA-256 is {stored.fingerprint}"


def _key_faults(entry: KeyEntry, found: Sequence[Facts | None]) -> Iterator[str]:
    if entry.locked:
        yield f"locked: {entry.locked}"
    if entry.key is not None and entry.key.handle is None:
        yield "its key is of a kind that is not known here, or malformed"
    if not entry.chain and not entry.locked:  # a shut store may hide it
        yield "no certificate for the key"
    elif entry.chain and found[0] is not None and found[0].is_ca:
        yield "its certificate is a CA's: a server's or client's is expected"
    if entry.key is None or entry.key.handle is None:
        return
    public = entry.key.handle.public_key()
    owned = [number for number, each in enumerate(entry.chain, 1) if entry.key.belongs_to(each)]
    if entry.chain and 1 not in owned and found[0] is not None:
        other = f"; certificate {owned[0]} is its own" if owned else ""
        yield f"the key does not belong to its certificate{other}"
    if 1 not in owned and (weak := inspect.key_in_words(public)[1]):  # else it is said of the certificate
        yield weak
    if isinstance(public, rsa.RSAPublicKey | ed25519.Ed25519PublicKey) and (why := weakness(public)):
        yield f"the key {why}"


def _chain(chain: Sequence[StoredCertificate], trusted: frozenset[bytes]) -> tuple[str, list[str]]:
    """In a sentence, and what is wrong. A root may be missing: whoever verifies has it."""
    readable = [each.certificate for each in chain if each.certificate]
    if not readable:
        return "", []
    words, problems = inspect.chain(readable)
    start = next((number for number, each in enumerate(readable) if not each.is_ca), 0)
    end = readable[inspect.path_of(readable, start)[-1]]
    is_alone = not end.is_ca and not inspect.is_self_issued(end)
    if is_alone and not problems and end.parsed.issuer.public_bytes() not in trusted:
        problems.append(f"incomplete: its issuer {end.issuer!r} is not in the store")
    return words.replace("in the file", "in the chain"), problems


def _subject(stored: StoredCertificate) -> bytes:
    return stored.certificate.parsed.subject.public_bytes() if stored.certificate else b""
