"""What reading a key store costs beside what no reader can leave out: the keys' derivation, and parsing by a library.

A format is a function that makes a store of a hundred entries and gives three sides: the reader as it is, which parses
nothing; the reader and then every key and certificate parsed; and derivation and parsing alone, from the parts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509 import load_der_x509_certificate
from report import Report, interleave, run

from handsel.authority import ca
from handsel.pki.keys import PrivateKey
from handsel.pki.keystore import jks, pkcs12, pkcs12_writing
from handsel.pki.keystore.derivation import MAC, Derivation, derive, spellings
from handsel.pki.keystore.model import (
    Entry,
    KeyEntry,
    Passwords,
    Store,
    StoredCertificate,
    StoredKey,
    TrustedEntry,
)
from handsel.pki.names import TrustDomain
from handsel.pki.secret import Secret

ROUNDS, READS, KEYS, TRUSTED = 20, 10, 30, 70
READ, PARSED, ALONE = "read", "read and parsed", "derivation and parsing alone"
PASSWORD = "changeit"
PASSWORDS = Passwords(Secret(PASSWORD.encode()))

Sides = Mapping[str, Callable[[], object]]


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "rounds": ROUNDS, "reads": READS, "trusted": TRUSTED, "keys": f"{KEYS}, ECDSA P-256",
    }  # fmt: skip
    entries = _entries()
    for kind, sides_of in FORMATS.items():
        sides = sides_of(entries)
        for number, side in interleave(tuple(sides), ROUNDS):
            report.add(number, f"{kind}/{side}", {"ms": _milliseconds(sides[side])})
        for side in (READ, PARSED):
            report.compare("ms", f"{kind}/{side}", f"{kind}/{ALONE}")


def _milliseconds(work: Callable[[], object]) -> float:
    """Of processor time, each."""
    began = time.process_time()
    for _ in range(READS):
        work()
    return (time.process_time() - began) / READS * 1e3


def _entries() -> list[Entry]:
    """Keys with a certificate and its CA's, and CAs' certificates. No RSA: a library takes long to test its primes, and
    what the reader costs would not be seen.
    """
    now, domain = datetime.now(UTC), TrustDomain("bench.internal")
    root_key = PrivateKey.generate()
    root = ca.make_root(domain, root_key, serial=1, now=now)
    entries: list[Entry] = []
    for number in range(KEYS):
        key = PrivateKey.generate()
        made = ca.make_issuing(domain, key, root, root_key, serial=number + 2, now=now)
        pkcs8 = StoredKey(Secret(_pkcs8(key)))
        entries.append(
            KeyEntry(f"key {number}", pkcs8, (StoredCertificate(made.der), StoredCertificate(root.der)), now)
        )
    for number in range(TRUSTED):
        made = ca.make_root(domain, PrivateKey.generate(), serial=1, now=now + timedelta(seconds=number))
        entries.append(TrustedEntry(f"root {number}", StoredCertificate(made.der), now))
    return entries


def _pkcs8(key: PrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    return key.handle.private_bytes(encoding, form, serialization.NoEncryption())


def _parse(store: Store | list[Entry]) -> None:
    """Every key and certificate, by the library."""
    for each in store.entries if isinstance(store, Store) else store:
        if isinstance(each, KeyEntry):
            assert each.key, each.locked
            load_der_private_key(each.key.pkcs8.reveal(), None)
            for certificate in each.chain:
                load_der_x509_certificate(certificate.der)
        elif isinstance(each, TrustedEntry):
            load_der_x509_certificate(each.certificate.der)


# The formats


def _jks(entries: list[Entry]) -> Sides:
    """JKS: SHA-1, a block of 20 bytes after the other, and once over the whole."""
    content = jks.write(entries, PASSWORDS, datetime.now(UTC))
    assert len(jks.read(content, PASSWORDS).entries) == len(entries)
    secret = PASSWORD.encode("utf-16-be")
    lengths = [len(each.key.pkcs8.reveal()) for each in entries if isinstance(each, KeyEntry) and each.key]

    def alone() -> None:
        hashlib.sha1(content, usedforsecurity=False).digest()
        for length in lengths:
            block = bytes(20)
            for _ in range(0, length, 20):
                block = hashlib.sha1(secret + block, usedforsecurity=False).digest()
            hashlib.sha1(secret + content[:length], usedforsecurity=False).digest()
        _parse(entries)

    return {
        READ: lambda: jks.read(content, PASSWORDS),
        PARSED: lambda: _parse(jks.read(content, PASSWORDS)),
        ALONE: alone,
    }


def _pkcs12(entries: list[Entry]) -> Sides:
    """PKCS12 as it is written here: a key from the password for the check, and one for all that is encrypted."""
    content = pkcs12.write(entries, PASSWORDS)
    assert len(pkcs12.read(content, PASSWORDS).entries) == len(entries)
    (spelling,) = spellings(Secret(PASSWORD.encode()))
    wanted = (
        Derivation("pkcs12", "sha256", bytes(20), pkcs12_writing.ROUNDS, 32, MAC),
        Derivation("pbkdf2", "sha256", bytes(16), pkcs12_writing.ROUNDS, 32),
    )

    def alone() -> None:
        for each in wanted:
            derive(each, spelling)
        _parse(entries)

    return {
        READ: lambda: pkcs12.read(content, PASSWORDS),
        PARSED: lambda: _parse(pkcs12.read(content, PASSWORDS)),
        ALONE: alone,
    }


FORMATS: Mapping[str, Callable[[list[Entry]], Sides]] = {"jks": _jks, "pkcs12": _pkcs12}


if __name__ == "__main__":
    claim = "reading a store costs at most 1.5 times its keys' derivation and parsing by a library alone"
    run(Report("stores", claim), bench, seconds=120)
