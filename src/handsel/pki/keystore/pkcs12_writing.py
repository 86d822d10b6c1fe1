"""PKCS12 written as Java 17 writes it (RFC 7292): PBES2 with AES-256 and HMAC-SHA-256, a check with HMAC-SHA-256.

keytool, OpenSSL and `cryptography` read it: several keys with their chains, trusted certificates, secret keys.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from handsel.errors import StoreRefused
from handsel.pki import der
from handsel.pki.encrypted_key import Sealer
from handsel.pki.keystore import pkcs12_bags
from handsel.pki.keystore.derivation import MAC, Derivation, derive, spellings
from handsel.pki.keystore.model import (
    MOST_ENTRIES,
    Entry,
    KeyEntry,
    Passwords,
    SecretEntry,
    StoredCertificate,
    StoredKey,
    TrustedEntry,
    duplicates,
)
from handsel.pki.keystore.pkcs12_entries import SECRETS
from handsel.pki.secret import Secret

ROUNDS = 10_000
"""As many as Java takes: more would make nothing safer that a person can remember, and all stores slower to open."""
_SALT_BYTES = 20
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.element(der.NULL))


def write(entries: Sequence[Entry], passwords: Passwords) -> bytes:
    """A store of these entries.

    Raises `StoreRefused` for what keytool would not open: no password or one that is not ASCII, a key with a password
    of its own, two entries of one alias, certificates that cannot be read or are no chain.
    """
    password = _password(entries, passwords)
    _check(entries)
    sealer, ids = Sealer(password, ROUNDS), _Ids()
    keys: list[bytes] = []
    leaves: list[bytes] = []
    above: dict[bytes, bytes] = {}
    trusted: list[bytes] = []
    for entry in entries:
        if isinstance(entry, TrustedEntry):
            trusted.append(_certificate(entry.certificate, _named(entry.alias), _TRUSTED))
            continue
        marks = (_named(entry.alias), ids.of(entry))
        keys.append(_key(entry, sealer, marks) if isinstance(entry, KeyEntry) else _secret(entry, sealer, marks))
        if isinstance(entry, KeyEntry) and entry.chain:
            leaves.append(_certificate(entry.chain[0], *marks))
            above |= {each.der: _certificate(each) for each in entry.chain[1:] if each.der not in above}
    parts = [_part(der.sequence(*keys))] if keys else []
    # Java builds chains by names alone, of which the first counts: those of the chains come first
    if certificates := [*leaves, *above.values(), *trusted]:
        parts.append(_encrypted_part(der.sequence(*certificates), sealer))
    return _file(der.sequence(*parts), password)


# What is refused


def _password(entries: Sequence[Entry], passwords: Passwords) -> Secret:
    """The one password of the store."""
    store = passwords.store
    if store is None or not store.reveal():
        raise StoreRefused("a PKCS12 file needs a password: keytool asks for one")
    if not all(0x20 <= octet < 0x7F for octet in store.reveal()):
        raise StoreRefused("its password has characters beyond ASCII, with which keytool opens no PKCS12 file")
    for entry in entries:
        if isinstance(entry, KeyEntry | SecretEntry) and passwords.of_key(entry.alias) != store:
            raise StoreRefused(
                f"the key {entry.alias!r} has a password of its own: Java's PKCS12 has one for everything"
            )
    return store


def _check(entries: Sequence[Entry]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise StoreRefused(f"they are more than {MOST_ENTRIES} entries")
    for alias in duplicates(entries):
        raise StoreRefused(f"several entries have the alias {alias!r}, which Java does not tell apart from each other")
    for entry in entries:
        if not entry.alias:
            raise StoreRefused("an entry has no alias")
        if isinstance(entry, TrustedEntry):
            _check_readable(entry.alias, entry.certificate)
        elif isinstance(entry, KeyEntry):
            _check_chain(entry.alias, entry.chain)
        elif entry.algorithm not in SECRETS:
            raise StoreRefused(f"the secret key {entry.alias!r} is of {entry.algorithm}, which is not written")


def _check_readable(alias: str, certificate: StoredCertificate) -> None:
    if certificate.fault:
        raise StoreRefused(f"a certificate of {alias!r} cannot be read: {certificate.fault}")


def _check_chain(alias: str, chain: Sequence[StoredCertificate]) -> None:
    """Each must name the next as its issuer: a reader joins them by that alone."""
    for each in chain:
        _check_readable(alias, each)
    for number, (below, above) in enumerate(pairwise(chain), 1):
        lower, upper = below.certificate, above.certificate
        if lower and upper and lower.parsed.issuer != upper.parsed.subject:
            raise StoreRefused(
                f"the chain of {alias!r} is none: its certificate {number} has another issuer than the next"
            )


# Bags


def _key(entry: KeyEntry, sealer: Sealer, marks: Sequence[bytes]) -> bytes:
    return _bag(pkcs12_bags.SHROUDED_BAG, sealer.key(_plain(entry)), marks)


def _secret(entry: SecretEntry, sealer: Sealer, marks: Sequence[bytes]) -> bytes:
    """As Java does: the octets of the key in a PrivateKeyInfo."""
    algorithm = der.sequence(der.oid(SECRETS[entry.algorithm]))
    info = der.sequence(der.integer(0), algorithm, der.element(der.OCTET_STRING, _plain(entry)))
    octets = der.element(der.OCTET_STRING, sealer.key(info))
    value = der.sequence(der.oid(pkcs12_bags.SHROUDED_BAG), der.element(der.CONTEXT, octets))
    return _bag(pkcs12_bags.SECRET_BAG, value, marks)


def _plain(entry: KeyEntry | SecretEntry) -> bytes:
    if entry.key is None:
        raise StoreRefused(f"the key {entry.alias!r} is not open: {entry.locked}")
    return entry.key.pkcs8.reveal() if isinstance(entry.key, StoredKey) else entry.key.reveal()


def _certificate(certificate: StoredCertificate, *marks: bytes) -> bytes:
    octets = der.element(der.OCTET_STRING, certificate.der)
    value = der.sequence(der.oid(pkcs12_bags.X509), der.element(der.CONTEXT, octets))
    return _bag(pkcs12_bags.CERTIFICATE_BAG, value, marks)


def _bag(kind: str, value: bytes, marks: Sequence[bytes]) -> bytes:
    # DER wants the members of a SET in order (X.690, 11.6).
    attributes = (der.element(der.SET, *sorted(marks)),) if marks else ()
    return der.sequence(der.oid(kind), der.element(der.CONTEXT, value), *attributes)


def _mark(name: str, value: bytes) -> bytes:
    return der.sequence(der.oid(name), der.element(der.SET, value))


def _named(alias: str) -> bytes:
    return _mark(pkcs12_bags.FRIENDLY_NAME, der.element(der.BMP_STRING, alias.encode("utf-16-be")))


_TRUSTED = _mark(pkcs12_bags.TRUSTED_USAGE, der.oid(pkcs12_bags.ANY_USAGE))


class _Ids:
    """What joins a key with its certificate: Java's moment of making when it is known, else numbers."""

    def __init__(self) -> None:
        self._taken: set[bytes] = set()

    def of(self, entry: KeyEntry | SecretEntry) -> bytes:
        moment = (entry.created - _EPOCH) // _MILLISECOND if entry.created and entry.created > _EPOCH else None
        number = len(self._taken) + 1 if moment is None else moment
        while (made := b"Time %d" % number if moment is not None else b"%d" % number) in self._taken:
            number += 1
        self._taken.add(made)
        return _mark(pkcs12_bags.LOCAL_KEY_ID, der.element(der.OCTET_STRING, made))


# The file


def _part(content: bytes) -> bytes:
    return der.sequence(der.oid(pkcs12_bags.DATA), der.element(der.CONTEXT, der.element(der.OCTET_STRING, content)))


def _encrypted_part(content: bytes, sealer: Sealer) -> bytes:
    """EncryptedData (RFC 5652, section 8)."""
    scheme, hidden = sealer.seal(content)
    info = der.sequence(der.oid(pkcs12_bags.DATA), scheme, der.element(der.CONTEXT_PRIMITIVE, hidden))
    data = der.sequence(der.integer(0), info)
    return der.sequence(der.oid(pkcs12_bags.ENCRYPTED), der.element(der.CONTEXT, data))


def _file(safe: bytes, password: Secret) -> bytes:
    """PFX with its check (RFC 7292, section 4)."""
    salt = os.urandom(_SALT_BYTES)
    key = derive(Derivation("pkcs12", "sha256", salt, ROUNDS, 32, MAC), spellings(password)[0])
    info = der.sequence(_SHA256, der.element(der.OCTET_STRING, hmac.digest(key, safe, hashlib.sha256)))
    check = der.sequence(info, der.element(der.OCTET_STRING, salt), der.integer(ROUNDS))
    return der.sequence(der.integer(3), _part(safe), check)
