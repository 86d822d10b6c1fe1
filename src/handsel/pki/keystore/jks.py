"""JKS, Java's own key store before PKCS12: versions 1 and 2 are read, 2 is written.

A key is hidden by XOR with a chain of SHA-1 over its password (the OID 1.3.6.1.4.1.42.2.17.1.1): 20 bytes of salt
begin the chain, and SHA-1 over password and key ends what is stored. There are no rounds: whoever has the file tries
passwords as fast as SHA-1 goes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.errors import KeyPasswordWrong, StorePasswordWrong, StoreRefused
from handsel.pki import der
from handsel.pki.keystore import java, java_stream
from handsel.pki.keystore.java import ANOTHER_PASSWORD, KEY, LONGEST_CHAIN, TRUSTED, Lock, Locked, named
from handsel.pki.keystore.model import (
    LARGEST,
    MOST_ENTRIES,
    Entry,
    KeyEntry,
    Passwords,
    Store,
    StoredCertificate,
    StoreKind,
    TrustedEntry,
    duplicates,
)

OID = "1.3.6.1.4.1.42.2.17.1.1"
_BLOCK = 20
_MILLISECOND = timedelta(milliseconds=1)


def read(content: bytes, passwords: Passwords) -> Store:
    """A JKS store.

    Raises `StoreUnreadable`, `StorePasswordWrong`, and `StoreRefused` for one with too many entries.
    """
    return java.read(StoreKind.JKS, content, passwords, lock_of)


def lock_of(algorithm: str, _parameters: bytes, content: bytes) -> Lock:
    """The lock that JKS knows. Raises `Locked` for others, `ValueError` for content that is none."""
    if algorithm != OID:
        raise Locked(f"it is locked by {named(algorithm)}, which is not known here")
    if len(content) < 2 * _BLOCK:
        raise ValueError("there is no salt and no check in it")
    return Sha1Chain(content)


@dataclass(frozen=True)
class Sha1Chain:
    """Salt, hidden key and check."""

    content: bytes = field(repr=False)
    name = "a chain of SHA-1 without rounds"
    rounds = 0

    def open(self, password: str) -> bytes:
        """The key. Raises `Locked` when the password is another one."""
        salt, hidden, check = self.content[:_BLOCK], self.content[_BLOCK:-_BLOCK], self.content[-_BLOCK:]
        secret = password.encode("utf-16-be")
        plain = _xor(hidden, salt, secret)
        if not hmac.compare_digest(_sha1(secret + plain), check):
            raise Locked(ANOTHER_PASSWORD)
        return plain


def _sha1(content: bytes) -> bytes:
    return hashlib.sha1(content, usedforsecurity=False).digest()


def _xor(content: bytes, salt: bytes, secret: bytes) -> bytes:
    """With the chain: each block is SHA-1 over the password and the block before."""
    chain, block = bytearray(), salt
    for _ in range(0, len(content), _BLOCK):
        block = hashlib.sha1(secret + block, usedforsecurity=False).digest()
        chain += block
    stream = int.from_bytes(chain[: len(content)])
    return (int.from_bytes(content) ^ stream).to_bytes(len(content))


def write(entries: Sequence[Entry], passwords: Passwords, now: datetime) -> bytes:
    """A store of version 2. Entries without a date get `now`; dates are kept to the millisecond.

    Aliases are written in small letters, as Java does, which finds no others. Raises `StorePasswordWrong` without a
    password, `KeyPasswordWrong` for a key that did not open when it was read, and `StoreRefused` for what JKS cannot
    hold: secret keys, keys without certificates, an alias twice.
    """
    if passwords.store is None:
        raise StorePasswordWrong("JKS is written with a password, and none was given")
    if len(entries) > MOST_ENTRIES:
        raise StoreRefused(f"there are {len(entries)} entries; at most {MOST_ENTRIES} are written")
    if twice := duplicates(entries):
        raise StoreRefused(f"several entries have the alias {named(twice[0])}, which JKS writes without regard to case")
    head = java.MAGIC[StoreKind.JKS] + java_stream.number(java.VERSION) + java_stream.number(len(entries))
    body = head + b"".join(_entry(each, passwords, now) for each in entries)
    whole = body + java.tail(java.java_text(passwords.store), body)
    if len(whole) > LARGEST:
        raise StoreRefused(f"it would be larger than {LARGEST >> 20} MiB")
    return whole


def _entry(entry: Entry, passwords: Passwords, now: datetime) -> bytes:
    since = ((entry.created or now) - java.EPOCH) // _MILLISECOND
    try:
        common = java_stream.text(entry.alias.lower()) + java_stream.long(since)
    except ValueError as error:
        raise StoreRefused(f"JKS cannot hold the alias {named(entry.alias)}: {error}") from None
    match entry:
        case TrustedEntry():
            return java_stream.number(TRUSTED) + common + _certificate(entry.certificate)
        case KeyEntry():
            return java_stream.number(KEY) + common + _key(entry, passwords)
    raise StoreRefused(f"JKS holds no secret keys, and {named(entry.alias)} is one", next_step="PKCS12 holds them")


def _certificate(certificate: StoredCertificate) -> bytes:
    return java_stream.text(java.X509) + java_stream.block(certificate.der)


def _key(entry: KeyEntry, passwords: Passwords) -> bytes:
    password = passwords.of_key(entry.alias)
    if entry.key is None or password is None:
        raise KeyPasswordWrong(f"the key of {named(entry.alias)} did not open: {entry.locked}")
    if not 1 <= len(entry.chain) <= LONGEST_CHAIN:
        raise StoreRefused(
            f"the key of {named(entry.alias)} has {len(entry.chain)} certificates; JKS wants 1 to {LONGEST_CHAIN}"
        )
    salt, secret, plain = os.urandom(_BLOCK), java.java_text(password).encode("utf-16-be"), entry.key.pkcs8.reveal()
    hidden = salt + _xor(plain, salt, secret) + _sha1(secret + plain)
    scheme = der.sequence(der.oid(OID), der.element(der.NULL))
    encrypted = der.sequence(scheme, der.element(der.OCTET_STRING, hidden))
    chain = b"".join(_certificate(each) for each in entry.chain)
    return java_stream.block(encrypted) + java_stream.number(len(entry.chain)) + chain
