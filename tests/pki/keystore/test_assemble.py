"""A new store of PEM files: the key finds its chain in any heap of certificates, and each is called something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import KeyPasswordWrong, StoreRefused
from handsel.pki.keystore import Entry, Integrity, KeyEntry, Store, StoreKind, assemble
from handsel.pki.keystore.model import StoredCertificate, StoredKey
from handsel.pki.secret import Secret
from tests.pki.keystore.samples import NOW, certificate, chain_of, key_entry, key_of, locked_entry, stored_key

KEY = KeyEntry("any", stored_key(key_of("web")), ())
CHAIN = chain_of("web")
STRANGER = certificate("stranger", ca=True)


def pem(*entries: Entry) -> Store:
    return Store(StoreKind.PEM, entries, Integrity.NONE)


@given(st.permutations([*CHAIN, STRANGER]))
def test_a_key_finds_its_chain_in_any_order(heap: list[StoredCertificate]) -> None:
    entry, rest = assemble.key_entry(pem(KEY), heap, "")
    assert (entry.alias, entry.chain, rest) == ("web", CHAIN, [STRANGER])


def test_the_chain_may_lie_in_the_file_of_the_key_or_be_divided() -> None:
    entry, rest = assemble.key_entry(pem(key_entry("web", CHAIN[:1])), CHAIN[1:], "Mine")
    assert (entry.alias, entry.chain, rest) == ("Mine", CHAIN, [])


@pytest.mark.parametrize(
    ("store", "beside", "said"),
    [
        (pem(), CHAIN, "one private key is expected in it, and there are none"),
        (pem(KEY, KEY), CHAIN, "one private key is expected in it, and there are 2"),
        (pem(KEY), CHAIN[1:], "there is no certificate for its key"),
        (pem(KeyEntry("any", StoredKey(Secret(b"\x30\x00")), (), NOW)), CHAIN, "its key is malformed"),
    ],
)
def test_keys_that_are_refused(store: Store, beside: tuple[StoredCertificate, ...], said: str) -> None:
    with pytest.raises(StoreRefused, match=said):
        assemble.key_entry(store, beside, "")


def test_a_locked_key_is_told_apart() -> None:
    with pytest.raises(KeyPasswordWrong, match="its password is another one"):
        assemble.key_entry(pem(locked_entry("web")), CHAIN, "")


def test_trusted_certificates_are_called_by_their_subjects_each_once() -> None:
    first, again = certificate("Root", ca=True), certificate("root", ca=True)
    found = list(assemble.trusted([first, again], [key_entry("root-2")]))
    assert [each.alias for each in found] == ["root", "root-3"]
    with pytest.raises(StoreRefused, match="there is no certificate in it"):
        list(assemble.trusted([], []))
    with pytest.raises(StoreRefused, match="certificate 2 in it cannot be read"):
        list(assemble.trusted([first, StoredCertificate(b"\x30\x00")], []))
