"""PEM as it is found: keys and certificates in any order with text around them, PKCS7, and each of them without dress.

A key's certificate is found by the key, and its chain by names; what belongs to no key is trusted, or merely there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handsel.errors import StoreRefused, StoreUnreadable
from handsel.pki import der, pem_blocks
from handsel.pki.encrypted_key import encrypted_pem
from handsel.pki.keystore import pem_keys, pkcs7
from handsel.pki.keystore.chains import Heap
from handsel.pki.keystore.derivation import Derivations
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
)
from handsel.pki.keystore.notes import Notes
from handsel.pki.keystore.pem_keys import KeyBlock
from handsel.pki.keystore.shrouded import Opener, Shroud

_CERTIFICATES, _TRUSTED, _PKCS7 = ("CERTIFICATE", "X509 CERTIFICATE"), "TRUSTED CERTIFICATE", ("PKCS7", "CMS")
_SILENT = ("EC PARAMETERS", "DSA PARAMETERS")
_LONGEST_ALIAS = 256
_FRIENDLY_NAME = re.compile(rb"^\s*friendlyName:[ \t]*(\S[^\r\n]{0,255})", re.MULTILINE)


@dataclass(frozen=True)
class _Named:
    """Something, the name that stands above it, and where it lies."""

    number: int
    name: str


@dataclass(frozen=True)
class _Kept(_Named):
    certificate: StoredCertificate


@dataclass(frozen=True)
class _Key(_Named):
    block: KeyBlock


def read(content: bytes, passwords: Passwords) -> Store:
    """A PEM file, or one certificate, key or PKCS7 message in DER.

    Raises `StoreUnreadable` when it is damaged or holds none of these, `StoreRefused` for too many or too much work.
    """
    notes, found = Notes(), list[_Kept | _Key]()
    try:
        for each in _from_pem(content, notes) if pem_blocks.BEGIN in content else _from_der(content):
            found.append(each)
            if len(found) > 2 * MOST_ENTRIES:
                raise StoreRefused(f"it has more than {2 * MOST_ENTRIES} keys and certificates")
        if not found:
            raise ValueError(f"there is neither a certificate nor a key in it{_only(notes)}")
        entries = tuple(_Reading(found, passwords, notes).entries())
    except ValueError as error:
        raise StoreUnreadable(str(error)) from error
    return Store(StoreKind.PEM, entries, Integrity.NONE, notes.lines)


def write(entries: Sequence[Entry], passwords: Passwords) -> bytes:
    """Each key, encrypted when it has a password, before its chain; then what is trusted.

    Raises `StoreRefused` for secret keys, and for keys that are not open.
    """
    parts: list[bytes] = []
    for entry in entries:
        if isinstance(entry, SecretEntry):
            raise StoreRefused(f"the secret key {entry.alias!r} has no place in PEM")
        if isinstance(entry, KeyEntry):
            parts += [_written_key(entry, passwords), *(_written(each) for each in entry.chain)]
    return b"".join([*parts, *(_written(each.certificate) for each in entries if isinstance(each, TrustedEntry))])


def _written_key(entry: KeyEntry, passwords: Passwords) -> bytes:
    if entry.key is None:
        raise StoreRefused(f"the key {entry.alias!r} is not open: {entry.locked}")
    password = passwords.of_key(entry.alias)
    if password is None:
        return pem_blocks.written(pem_keys.PLAIN, entry.key.pkcs8.reveal())
    if not password.reveal():
        raise StoreRefused("an empty password keeps nothing: give a longer one, or none")
    return encrypted_pem(entry.key.pkcs8.reveal(), password)


def _written(certificate: StoredCertificate) -> bytes:
    return pem_blocks.written(_CERTIFICATES[0], certificate.der)


# What is in a file


def _from_pem(content: bytes, notes: Notes) -> Iterator[_Kept | _Key]:
    for number, block in enumerate(pem_blocks.blocks(content)):
        names = _FRIENDLY_NAME.findall(block.before)
        name = names[-1].decode(errors="replace").strip() if names else ""
        if block.label in _CERTIFICATES:
            yield _Kept(number, name, StoredCertificate(block.data()))
        elif block.label == _TRUSTED:  # OpenSSL's: a certificate, then what it is trusted for
            yield _Kept(number, name, StoredCertificate(der.Reader(block.data()).read_whole(der.SEQUENCE)))
        elif block.label in _PKCS7:
            yield from (_Kept(number, "", StoredCertificate(each)) for each in pkcs7.certificates(block.data()))
        elif block.label in pem_keys.LABELS:
            yield _Key(number, name, KeyBlock(block.label, block.data(), block.headers.get("DEK-Info", "")))
        elif block.label not in _SILENT:
            notes.odd(f"a block {block.label!r} is not read")


def _from_der(content: bytes) -> Iterator[_Kept | _Key]:
    """By what the outer SEQUENCE begins with. Raises `ValueError` for what is none of these."""
    if content[1:2] == b"\x80":
        yield from (_Kept(0, "", StoredCertificate(each)) for each in pkcs7.certificates(content))
        return
    file, number = der.Reader(content), 0
    while number == 0 or file.next_tag is not None:
        try:
            whole = file.read_whole(der.SEQUENCE)
            kind = _kind(der.Reader(whole).inside(der.SEQUENCE))
        except ValueError as error:
            raise ValueError("it is neither PEM nor one certificate, key or PKCS7 message in DER") from error
        if kind == _PKCS7[0]:
            yield from (_Kept(number, "", StoredCertificate(each)) for each in pkcs7.certificates(whole))
        elif kind in pem_keys.LABELS:
            yield _Key(number, "", KeyBlock(kind, whole))
        else:
            yield _Kept(number, "", StoredCertificate(whole))
        number += 1


def _kind(inside: der.Reader) -> str:
    """The label that it would have in PEM."""
    first = inside.next_tag
    if first == der.OID:
        return _PKCS7[0]
    if first == der.INTEGER:
        inside.read(der.INTEGER)
        # PKCS#8 has its algorithm second; RSA has a number there, EC the key itself (RFC 5958, 8017, 5915)
        labels = {der.SEQUENCE: pem_keys.PLAIN, der.INTEGER: "RSA PRIVATE KEY", der.OCTET_STRING: "EC PRIVATE KEY"}
        return labels.get(inside.next_tag or 0) or ""
    inside.read(der.SEQUENCE)
    if inside.next_tag == der.OCTET_STRING:
        return pem_keys.ENCRYPTED
    inside.read(der.SEQUENCE), inside.read(der.BIT_STRING)  # the three of a certificate (RFC 5280, section 4.1)
    inside.end()
    return _CERTIFICATES[0]


# What belongs together


class _Reading:
    """One way through what was found."""

    def __init__(self, found: Sequence[_Kept | _Key], passwords: Passwords, notes: Notes) -> None:
        self._kept = [each for each in found if isinstance(each, _Kept)]
        self._keys = [each for each in found if isinstance(each, _Key)]
        self._notes = notes
        self._opener = Opener(passwords, Derivations())
        self._heap = Heap(each.certificate for each in self._kept)
        self._aliases = _Aliases(found)
        self._places = {each.certificate.der: place for place, each in reversed(list(enumerate(self._kept, 1)))}

    def entries(self) -> list[Entry]:
        """In the file's order. Raises `StoreRefused` for too many rounds."""
        shut = [pem_keys.look(each.block, self._opener) for each in self._keys]
        made = {each.number: self._key(each, key) for each, key in zip(self._keys, shut, strict=True)}
        if len(made) > 1:
            self._notes.odd(f"it has {len(made)} private keys: most programs take the first and pass over the others")
        used = {each.der for entry in made.values() for each in entry.chain}
        left = [each for each in self._kept if each.certificate.der not in used]
        everything: list[tuple[int, Entry]] = [*made.items()]
        everything += [
            (each.number, TrustedEntry(self._aliases.of(each, each.certificate), each.certificate)) for each in left
        ]
        if len({each.certificate.der for each in left}) < len(left):
            self._notes.odd("a certificate is in it more than once")
        return [entry for _, entry in sorted(everything, key=lambda each: each[0])]

    def _key(self, found: _Key, shroud: Shroud | None) -> KeyEntry:
        guess = self._guess() if len(self._keys) == 1 else None
        asked = found.name or self._aliases.asked(guess)
        opened = pem_keys.open_key(found.block, shroud, asked, self._opener)
        key = StoredKey(opened.pkcs8) if opened.pkcs8 else None
        leaf = self._heap.of_key(key) if key else guess
        if leaf and not key:
            self._notes.odd("its key is shut: which certificate is for it, is taken for granted")
        if key and not leaf and self._kept:
            self._notes.odd("no certificate in it is for its key" if guess else "a key in it has no certificate there")
        chain = self._heap.chain(leaf) if leaf else ()
        self._note_order(chain)
        self._notes.kept(f"keys: {opened.protection}")
        self._notes.weak(*(shroud.faults if shroud else ()))
        return KeyEntry(self._aliases.of(found, leaf), key, chain, None, opened.locked, opened.protection)

    def _guess(self) -> StoredCertificate | None:
        """The certificate of a key that is shut: the first that issued none of the others."""
        readable = [(each.certificate, each.certificate.certificate) for each in self._kept]
        names = [(read.parsed.subject, read.parsed.issuer) for _, read in readable if read]
        issuers = {issuer for subject, issuer in names if issuer != subject}
        return next((each for each, read in readable if read and read.parsed.subject not in issuers), None)

    def _note_order(self, chain: Sequence[StoredCertificate]) -> None:
        """TLS wants the leaf first, then each one's issuer (RFC 8446, section 4.4.2)."""
        places = [self._places[each.der] for each in chain]
        if places != sorted(places):
            right = ", ".join(map(str, places))
            self._notes.odd(f"its certificates are out of order: the right one is {right}")


class _Aliases:
    """The name that is written, else the common name, else a number; each once, as far as they are not written so."""

    def __init__(self, found: Sequence[_Named]) -> None:
        self._taken = {each.name.lower() for each in found if each.name}

    def asked(self, certificate: StoredCertificate | None) -> str:
        """The alias under which the password of a key that is still shut is looked for."""
        return self._common(certificate) or "1"

    def of(self, found: _Named, certificate: StoredCertificate | None) -> str:
        """The alias of an entry."""
        if found.name:
            return found.name
        common, number = self._common(certificate), 1
        alias = common or "1"
        while alias.lower() in self._taken:
            number += 1
            alias = f"{common}-{number}" if common else str(number)
        self._taken.add(alias.lower())
        return alias

    @staticmethod
    def _common(certificate: StoredCertificate | None) -> str:
        return certificate.certificate.subject[:_LONGEST_ALIAS] if certificate and certificate.certificate else ""


def _only(notes: Notes) -> str:
    return f": {'; '.join(notes.lines)}" if notes.lines else ""
