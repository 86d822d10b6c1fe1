"""JKS: any bytes are a store that can be used and written again, or one of a store's errors."""

from __future__ import annotations

from datetime import UTC, datetime

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import jks
from handsel.pki.keystore.model import Integrity, KeyEntry, Passwords
from handsel.pki.secret import Secret

_PASSWORD = Secret(b"changeit")


def fuzz(data: bytes) -> None:
    """Read it without the store's password, which would refuse all that was changed; the key's opens what it can."""
    for passwords in (Passwords(), Passwords(key=_PASSWORD), Passwords(_PASSWORD)):
        try:
            store = jks.read(data, passwords)
        except (StoreUnreadable, StoreRefused, StorePasswordWrong) as error:
            if "\n" in str(error):
                raise
            continue
        assert (store.integrity == Integrity.CHECKED) == (passwords.store is not None)
        for note in store.notes:
            note.encode()
        for each in store.entries:
            each.alias.encode()
            assert not isinstance(each, KeyEntry) or (each.key is None) == bool(each.locked)
        whole = [each for each in store.entries if not isinstance(each, KeyEntry) or (each.key and each.chain)]
        once = list({each.alias.lower(): each for each in whole}.values())
        if all(each.created for each in once):
            _write_and_read(once)


def _write_and_read(entries: list) -> None:
    own = Passwords(_PASSWORD)
    try:
        written = jks.write(entries, own, datetime(2030, 1, 1, tzinfo=UTC))
    except StoreRefused as error:  # an alias whose small letters are longer, or the same as another's
        if "alias" not in str(error):
            raise
        return
    found = jks.read(written, own).entries
    assert [type(each) for each in found] == [type(each) for each in entries]
    assert [each.created for each in found] == [each.created for each in entries]
