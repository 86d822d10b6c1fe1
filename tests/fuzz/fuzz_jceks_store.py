"""JCEKS: any bytes are a store or one of a store's errors; no object is taken for a key but the two that are known."""

from __future__ import annotations

from unittest import mock

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import java, jceks
from handsel.pki.keystore.model import Integrity, Passwords, TrustedEntry
from handsel.pki.secret import Secret

_PASSWORD = Secret(b"changeit")
_ROUNDS = 100
"""Few are done, so that many inputs are tried: the corpus has a store that asks for no more."""


def fuzz(data: bytes) -> None:
    """Read it without the store's password, which would refuse all that was changed; the key's opens what it can."""
    with mock.patch.object(java, "MOST_ROUNDS", _ROUNDS):
        for passwords in (Passwords(), Passwords(key=_PASSWORD), Passwords(_PASSWORD)):
            _read(data, passwords)


def _read(data: bytes, passwords: Passwords) -> None:
    try:
        store = jceks.read(data, passwords)
    except (StoreUnreadable, StoreRefused, StorePasswordWrong) as error:
        if "\n" in str(error):
            raise
        return
    assert (store.integrity == Integrity.CHECKED) == (passwords.store is not None)
    for note in store.notes:
        note.encode()
    for each in store.entries:
        each.alias.encode()
        assert isinstance(each, TrustedEntry) or (each.key is None) == bool(each.locked)
