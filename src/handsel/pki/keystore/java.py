"""What JKS and JCEKS share: the frame that Java wrote around keys and certificates, and the check at its end.

After a magic number, a version and a count come the entries, each with a tag, an alias and a date. The last 20 bytes
are SHA-1 over the password, a phrase and all that stands before. Certificates lie in clear and need no password; each
key is locked on its own, in a way that its format knows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.keystore.java_objects import read_sealed, read_secret
from handsel.pki.keystore.java_stream import Cursor, text
from handsel.pki.keystore.model import (
    MOST_ENTRIES,
    MOST_ROUNDS,
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
    text_of,
)
from handsel.pki.secret import Secret

MAGIC = {StoreKind.JKS: b"\xfe\xed\xfe\xed", StoreKind.JCEKS: b"\xce\xce\xce\xce"}
VERSION = 2
KEY, TRUSTED, SECRET = 1, 2, 3
X509 = "X.509"
LONGEST_CHAIN = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANOTHER_PASSWORD = "its password is another one"  # noqa: S105  # what people are told
_OF_X509 = text(X509)
_PHRASE = b"Mighty Aphrodite"
_TAIL = 20
_LONGEST_NAME = 80


class Locked(Exception):
    """A key that does not open; the text says why, as `KeyEntry.locked` has it."""


class Lock(Protocol):
    """What hides one key, and the key in it."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def rounds(self) -> int:
        """How many its password's derivation takes."""

    def open(self, password: str) -> bytes:
        """What was hidden. Raises `Locked`."""


LockOf = Callable[[str, bytes, bytes], Lock]
"""The lock of an algorithm (an OID), its parameters (DER) and the hidden bytes. Raises `Locked` for unknown ones, and
`ValueError` for parameters that are none."""


class _Found(NamedTuple):
    """A key, not opened yet, as it was found. `lock`: or why it cannot be; `chain`: None for a secret key."""

    alias: str
    created: datetime | None
    lock: Lock | Locked
    chain: tuple[StoredCertificate, ...] | None = None


def read(kind: StoreKind, content: bytes, passwords: Passwords, lock_of: LockOf) -> Store:
    """A store of Java's.

    Raises `StoreUnreadable`, `StorePasswordWrong`, and `StoreRefused` for too many entries or rounds.
    """
    frame = _Frame(kind, Cursor(content, max(len(content) - _TAIL, 0)), lock_of)
    found = list(frame.entries())
    end = frame.cursor.at
    if frame.cursor.left:  # Java does not look at them
        frame.notes.append(f"{frame.cursor.left} bytes follow its end")
    checked = passwords.store is not None
    if passwords.store is not None:
        body, kept = content[:end], content[end : end + _TAIL]
        if not hmac.compare_digest(tail(java_text(passwords.store), body), kept):
            raise StorePasswordWrong("its password is another one, or its content was changed")
    entries = _opened(found, passwords)
    integrity = Integrity.CHECKED if checked else Integrity.NOT_CHECKED
    return Store(kind, entries, integrity, (*frame.notes, *_notes(entries)))


def tail(password: str, body: bytes) -> bytes:
    """The check of a store with this content, magic number and all."""
    digest = hashlib.sha1(password.encode("utf-16-be") + _PHRASE, usedforsecurity=False)
    digest.update(body)
    return digest.digest()


def java_text(password: Secret) -> str:
    """A store's password as text. Raises `StorePasswordWrong` for one that Java could not have."""
    try:
        return text_of(password)
    except UnicodeDecodeError:
        raise StorePasswordWrong("its password is text, and these bytes are not UTF-8") from None


def named(words: str) -> str:
    """A text out of a store, for people: in quotes, not too long, and with nothing that moves a cursor."""
    return repr(words if len(words) <= _LONGEST_NAME else words[:_LONGEST_NAME] + "…")


@dataclass
class _Frame:
    """One walk through the entries; `notes` are complete after it."""

    kind: StoreKind
    cursor: Cursor
    lock_of: LockOf
    notes: list[str] = field(default_factory=list)
    version: int = 0

    def entries(self) -> Iterator[Entry | _Found]:
        cursor = self.cursor
        cursor.expect(MAGIC[self.kind], f"the magic number of {self.kind.upper()}")
        self.version = cursor.number("its version")
        if self.version not in (1, VERSION):
            raise StoreUnreadable(f"it says that its version is {self.version}; there are 1 and 2")
        if self.version == 1:
            self.notes.append("it is of version 1, which only the oldest Java wrote")
        count = cursor.number("the number of entries")
        if count > MOST_ENTRIES:
            raise StoreRefused(f"it says that it has {count} entries; at most {MOST_ENTRIES} are read")
        readers: dict[int, Callable[[str, datetime | None], Entry | _Found]] = {KEY: self._key, TRUSTED: self._trusted}
        if self.kind is StoreKind.JCEKS:
            readers[SECRET] = self._secret
        for _ in range(count):
            start, tag = cursor.at, cursor.number("an entry's tag")
            reader = readers.get(tag)
            if reader is None:
                raise StoreUnreadable(f"at byte {start} an entry has the tag {tag}; there are 1 to {max(readers)}")
            alias = cursor.text("an alias")
            yield reader(alias, self._date(alias))

    def _date(self, alias: str) -> datetime | None:
        since = self.cursor.long("a date")
        try:
            return EPOCH + timedelta(milliseconds=since)
        except OverflowError:
            self.notes.append(f"{named(alias)} has a date that no calendar has")
            return None

    def _trusted(self, alias: str, created: datetime | None) -> TrustedEntry:
        return TrustedEntry(alias, self._certificate(alias), created)

    def _certificate(self, alias: str) -> StoredCertificate:
        if self.version != 1 and not self.cursor.goes_on_with(_OF_X509):
            kind = self.cursor.text("a certificate's kind")
            self.notes.append(f"{named(alias)} has a certificate of the kind {named(kind)}, which is not X.509")
        return StoredCertificate(self.cursor.block("a certificate"))

    def _key(self, alias: str, created: datetime | None) -> _Found:
        encrypted = self.cursor.block("a key")
        length = self.cursor.number("the length of a chain")
        if length > LONGEST_CHAIN:
            raise StoreRefused(
                f"the chain of {named(alias)} has {length} certificates; at most {LONGEST_CHAIN} are read"
            )
        if not length:
            self.notes.append(f"{named(alias)} has a key without a certificate, which Java does not use")
        chain = tuple([self._certificate(alias) for _ in range(length)])
        return _Found(alias, created, self._lock(lambda: _parts(encrypted)), chain)

    def _secret(self, alias: str, created: datetime | None) -> _Found:
        sealed = read_sealed(self.cursor)
        return _Found(alias, created, self._lock(lambda: (sealed.algorithm, sealed.parameters, sealed.content)))

    def _lock(self, parts: Callable[[], tuple[str, bytes, bytes]]) -> Lock | Locked:
        try:
            return self.lock_of(*parts())
        except ValueError as error:
            return Locked(f"it is damaged: {error}")
        except Locked as error:
            return error


def _parts(encrypted: bytes) -> tuple[str, bytes, bytes]:
    """Algorithm, parameters and content of an EncryptedPrivateKeyInfo (RFC 5958, section 3). Raises `ValueError`."""
    outer = der.Reader(encrypted)
    info = outer.inside(der.SEQUENCE)
    outer.end()
    algorithm, parameters = _scheme(info.read(der.SEQUENCE))
    content = info.read(der.OCTET_STRING)
    info.end()
    return algorithm, parameters, content


@lru_cache(maxsize=4)
def _scheme(content: bytes) -> tuple[str, bytes]:
    """Algorithm and parameters out of an AlgorithmIdentifier; in a JKS all keys have the same one."""
    scheme = der.Reader(content)
    algorithm = scheme.read_oid()
    parameters = b"" if scheme.next_tag is None else scheme.read_whole(scheme.next_tag)
    scheme.end()
    return algorithm, parameters


def _opened(found: list[Entry | _Found], passwords: Passwords) -> tuple[Entry, ...]:
    """The same with every key opened that its password opens. Raises `StoreRefused` when that is too much work."""
    rounds = 0
    for each in found:
        if isinstance(each, _Found) and not isinstance(each.lock, Locked) and passwords.of_key(each.alias) is not None:
            rounds += each.lock.rounds
    if rounds > MOST_ROUNDS:
        raise StoreRefused(
            f"its keys ask for {rounds} rounds of derivation; at most {MOST_ROUNDS} are done",
            next_step="its certificates are read without a password",
        )
    return tuple([_open(each, passwords) if isinstance(each, _Found) else each for each in found])


def _open(found: _Found, passwords: Passwords) -> KeyEntry | SecretEntry:
    alias, created, lock, chain = found
    plain, why = _plain(lock, passwords.of_key(alias))
    if chain is not None:
        protection = "" if isinstance(lock, Locked) else lock.name
        key = None if plain is None else StoredKey(Secret(plain))
        return KeyEntry(alias, key, chain, created, why, protection)
    if plain is not None:
        try:
            return SecretEntry(alias, *read_secret(plain), created)
        except StoreUnreadable as error:
            why = f"it is of a kind that is not read here: {error}"
    return SecretEntry(alias, "", None, created, why)


def _plain(lock: Lock | Locked, password: Secret | None) -> tuple[bytes | None, str]:
    """What was locked, or why it stays so."""
    if isinstance(lock, Locked):
        return None, str(lock)
    if password is None:
        return None, "needs a password"
    try:
        return lock.open(text_of(password)), ""
    except Locked as error:
        return None, str(error)
    except UnicodeDecodeError:
        return None, "its password is text, and the bytes given are not UTF-8"


def _notes(entries: tuple[Entry, ...]) -> Iterator[str]:
    yield "its check is SHA-1 over password and content: it costs little to try passwords"
    locks = {each.protection for each in entries if isinstance(each, KeyEntry) and each.protection}
    yield from (f"its keys are locked by {each}, which is weak" for each in sorted(locks))
    for alias in duplicates(entries):
        yield f"several entries have the alias {named(alias)}; Java keeps one of them"
    for each in entries:
        if not each.alias:
            yield "an entry has no alias"
        elif each.alias != each.alias.lower():
            yield f"the alias {named(each.alias)} has capital letters: Java, which asks in small ones, never finds it"
