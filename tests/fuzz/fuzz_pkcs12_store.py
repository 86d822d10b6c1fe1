"""PKCS12: any bytes are a store whose entries can be used and written again, or one of a store's errors."""

from __future__ import annotations

from unittest import mock

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import derivation, pkcs12
from handsel.pki.keystore.model import Integrity, KeyEntry, Passwords, Store, TrustedEntry
from handsel.pki.secret import Secret

_ROUNDS = 100_000
"""What is allowed takes seconds, in which a fuzzer tries thousands of inputs."""
_PASSWORD = Passwords(Secret(b"changeit"))


def fuzz(data: bytes) -> None:
    """Without a password, which lets what was changed pass, and with one."""
    with mock.patch.object(derivation, "MOST_ROUNDS", _ROUNDS):
        _try(data)


def _try(data: bytes) -> None:
    for passwords in (Passwords(), Passwords(key=Secret(b"changeit")), _PASSWORD):
        try:
            store = pkcs12.read(data, passwords)
        except (StoreUnreadable, StoreRefused, StorePasswordWrong) as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        assert store.integrity != Integrity.CHECKED or passwords.store
        _use(store)


def _use(store: Store) -> None:
    for note in store.notes:
        note.encode(errors="surrogatepass")
    for each in store.entries:
        if isinstance(each, TrustedEntry):
            assert each.certificate.certificate or each.certificate.fault
            continue
        assert (each.key is None) == bool(each.locked)
        if isinstance(each, KeyEntry) and each.key and each.chain:
            each.key.belongs_to(each.chain[0])
    try:
        written = pkcs12.write(store.entries[:3], _PASSWORD)
    except StoreRefused:
        return
    found = pkcs12.read(written, _PASSWORD)
    assert {each.alias for each in store.entries[:3]} <= {each.alias for each in found.entries}
