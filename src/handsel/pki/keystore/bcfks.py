"""BCFKS, the key store of BouncyCastle's FIPS provider: DER; one password seals the whole, each key has its own.

The store's data is encrypted or plain, and behind it stands a MAC over it. Every key is derived from a password with a
purpose: what opens the store opens no private key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.keystore.bcfks_seals import PBES2, Budget, Check, Purpose, Sealed
from handsel.pki.keystore.model import (
    MOST_ENTRIES,
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
    duplicates,
)
from handsel.pki.secret import Secret

_AES = "2.16.840.1.101.3.4.1."
_SECRETS = {
    "1.2.840.113549.3.7": "DESede",
    "1.2.840.113549.2.7": "HmacSHA1",
    "1.2.840.113549.2.8": "HmacSHA224",
    "1.2.840.113549.2.9": "HmacSHA256",
    "1.2.840.113549.2.10": "HmacSHA384",
    "1.2.840.113549.2.11": "HmacSHA512",
}
"""What secret keys are for, by Java's names."""
_EXPECTED = "it is no BCFKS store as BouncyCastle writes it, or it is damaged"
_SIGNATURE = 0xA0


class _Kind(IntEnum):
    """What an entry is. The protected ones came in encrypted already, and are kept as they were."""

    CERTIFICATE = 0
    PRIVATE_KEY = 1
    SECRET_KEY = 2
    PROTECTED_PRIVATE_KEY = 3
    PROTECTED_SECRET_KEY = 4


def begins_like_one(first: der.Reader) -> bool:
    """Whether the data of a store begins here, inside the first SEQUENCE in the outer one. Raises `ValueError`.

    Encrypted it begins as PBES2 does, plain with its version. A certificate begins so with its version in [0], with its
    serial number (X.509 v1), where an algorithm follows that signs and no MAC: then a name comes and no time.
    """
    if first.next_tag == der.SEQUENCE:
        return first.inside(der.SEQUENCE).read_oid() == PBES2
    if first.next_tag != der.INTEGER:
        return False
    first.read_integer()
    return first.next_tag == der.SEQUENCE and bool(first.read(der.SEQUENCE)) and first.next_tag == der.GENERALIZED_TIME


def read(content: bytes, passwords: Passwords) -> Store:
    """A BCFKS store.

    Raises `StoreUnreadable`; `StorePasswordWrong`, also when the data is encrypted and none was given; `StoreRefused`.
    """
    try:
        return _read(content, passwords)
    except (ValueError, OverflowError, MemoryError) as error:
        raise StoreUnreadable(f"{_EXPECTED}: {_line(error)}") from error


def _read(content: bytes, passwords: Passwords) -> Store:
    whole = der.Reader(content)
    outer = whole.inside(der.SEQUENCE)
    whole.end()
    data = outer.read_whole(der.SEQUENCE)
    check = None if outer.next_tag == _SIGNATURE else Check.read(outer.inside(der.SEQUENCE))
    first = der.Reader(data).inside(der.SEQUENCE)
    sealed = Sealed.read(first) if first.next_tag == der.SEQUENCE else None
    budget, notes = Budget(), list[str]()
    budget.take([*([check.derivation] if check else []), *([sealed.derivation] if sealed else [])])
    integrity = _integrity(check, data, passwords.store, notes)
    if sealed is None:
        plain, kept = data, "the store itself is not encrypted"
    elif passwords.store is None:
        raise StorePasswordWrong("it needs a password: all of it is encrypted")
    else:
        opened = sealed.open(passwords.store, Purpose.STORE)
        if opened is None:
            raise StorePasswordWrong("the password is wrong")
        plain, kept = opened, f"the store is encrypted: {sealed.words}"
    notes.insert(0, kept)
    if any(each.derivation.is_weak for each in (check, sealed) if each):
        notes.append("its password is derived with little work: soon guessed")
    found = list(_records(plain))
    budget.take(each.sealed.derivation for each in found if each.sealed)
    entries = tuple(_entry(each, passwords) for each in found)
    notes += ["an entry has no alias" for each in entries if not each.alias]
    notes += [f"several entries have the alias {alias!r}" for alias in duplicates(entries)]
    return Store(StoreKind.BCFKS, entries, integrity, tuple(notes))


def _integrity(check: Check | None, data: bytes, password: Secret | None, notes: list[str]) -> Integrity:
    if check is None:
        notes.append("it is signed; the signature is not checked here")
        return Integrity.NOT_CHECKED
    if password is None:
        return Integrity.NOT_CHECKED
    if not check.fits(data, password):
        raise StorePasswordWrong("the password is wrong, or the store was changed")
    return Integrity.CHECKED


@dataclass(frozen=True)
class _Record:
    """An entry before its key is opened. `sealed` None: a certificate, or `fault` says what is wrong with its key."""

    kind: _Kind
    alias: str
    created: datetime
    sealed: Sealed | None
    certificates: tuple[StoredCertificate, ...] = ()
    fault: str = ""


def _records(data: bytes) -> Iterator[_Record]:
    """The entries of a store's data: version, the check's algorithm, two times, then they."""
    store = der.Reader(data).inside(der.SEQUENCE)
    store.read_integer()
    store.read(der.SEQUENCE)
    store.read(der.GENERALIZED_TIME), store.read(der.GENERALIZED_TIME)
    objects = store.inside(der.SEQUENCE)
    count = 0
    while objects.next_tag is not None:
        count += 1
        if count > MOST_ENTRIES:
            raise StoreRefused(f"it has more than {MOST_ENTRIES} entries")
        yield _record(objects.inside(der.SEQUENCE))


def _record(given: der.Reader) -> _Record:
    kind, alias = _Kind(given.read_integer()), given.read(der.UTF8_STRING).decode()
    created, _ = given.read_generalized_time(), given.read(der.GENERALIZED_TIME)
    data = given.read(der.OCTET_STRING)
    if kind is _Kind.CERTIFICATE:
        return _Record(kind, alias, created, None, (StoredCertificate(data),))
    sealed = der.Reader(data).inside(der.SEQUENCE)
    chain: tuple[StoredCertificate, ...] = ()
    if kind in (_Kind.PRIVATE_KEY, _Kind.PROTECTED_PRIVATE_KEY):
        both = sealed
        sealed, chain = both.inside(der.SEQUENCE), tuple(_certificates(both.inside(der.SEQUENCE)))
    try:
        return _Record(kind, alias, created, Sealed.read(sealed), chain)
    except ValueError as error:
        return _Record(kind, alias, created, None, chain, _line(error))


def _certificates(given: der.Reader) -> Iterator[StoredCertificate]:
    while given.next_tag is not None:
        yield StoredCertificate(given.read_whole(der.SEQUENCE))


def _entry(record: _Record, passwords: Passwords) -> Entry:
    if record.kind is _Kind.CERTIFICATE:
        return TrustedEntry(record.alias, record.certificates[0], record.created)
    is_private = record.kind in (_Kind.PRIVATE_KEY, _Kind.PROTECTED_PRIVATE_KEY)
    plain, locked = _opened(record, passwords.of_key(record.alias), is_private=is_private)
    if is_private:
        key = StoredKey(Secret(plain)) if plain is not None else None
        protection = record.sealed.words if record.sealed else ""
        return KeyEntry(record.alias, key, record.certificates, record.created, locked, protection)
    if plain is None:
        return SecretEntry(record.alias, "", None, record.created, locked)
    inside = der.Reader(plain).inside(der.SEQUENCE)
    name = inside.read_oid()
    algorithm = "AES" if f"{name}.".startswith(_AES) else _SECRETS.get(name, name)
    return SecretEntry(record.alias, algorithm, Secret(inside.read(der.OCTET_STRING)), record.created)


def _opened(record: _Record, password: Secret | None, *, is_private: bool) -> tuple[bytes | None, str]:
    """The plain key, or why it stays shut."""
    if record.sealed is None:
        return None, record.fault
    if password is None:
        return None, "needs a password"
    try:
        plain = record.sealed.open(password, Purpose.PRIVATE_KEY if is_private else Purpose.SECRET_KEY)
    except ValueError as error:
        return None, _line(error)
    return plain, "" if plain is not None else "its password is another one"


def _line(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
