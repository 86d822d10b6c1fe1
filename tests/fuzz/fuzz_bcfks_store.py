"""BCFKS stores: any bytes are a store, or refused in one line; also those whose check fits, so that it hides nothing."""

from __future__ import annotations

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.keystore import Passwords, Store, bcfks
from handsel.pki.secret import Secret
from tests.pki.keystore.bouncy import checked

_PASSWORDS = Passwords(Secret(b"secret"))


def fuzz(data: bytes) -> None:
    _read(data)
    try:
        _read(checked(der.Reader(data).read_whole(der.SEQUENCE), rounds=1))
    except ValueError:
        return


def _read(content: bytes) -> None:
    try:
        store = bcfks.read(content, _PASSWORDS)
    except (StorePasswordWrong, StoreRefused, StoreUnreadable) as error:
        if not str(error).strip() or "\n" in str(error):
            raise AssertionError(f"not one line: {error!r}") from error
        return
    assert isinstance(store, Store)
    for each in store.keys:
        assert (each.key is None) is bool(each.locked)
