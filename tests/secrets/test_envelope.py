"""What is sealed opens with its key, as what it is and in its own place; otherwise it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import SealBroken
from handsel.pki.secret import Secret
from handsel.secrets import envelope
from handsel.secrets.model import Kind
from tests.secrets.things import local_key, random, version
from tests.support import mutations

VALUE = Secret(b"correct horse")
MINE = version("db", 3, Kind.PASSWORD)
SEALED = envelope.seal(VALUE, MINE, local_key(), random)


@given(st.binary(max_size=200))
def test_what_is_sealed_opens(value: bytes) -> None:
    sealed = envelope.seal(Secret(value), MINE, local_key(), random)
    assert envelope.unseal(sealed, MINE, local_key()).reveal() == value


def test_two_versions_share_neither_key_nor_nonce() -> None:
    again = envelope.seal(VALUE, MINE, local_key(), random)
    assert again.nonce != SEALED.nonce
    assert again.wrapped != SEALED.wrapped
    assert again.ciphertext != SEALED.ciphertext


@pytest.mark.parametrize(
    "other",
    [{"name": "dc"}, {"number": 4}, {"kind": Kind.OPAQUE}, {"version_id": "x"}],
    ids=lambda each: next(iter(each)),
)
def test_a_row_in_another_place_does_not_open(other) -> None:
    with pytest.raises(SealBroken):
        envelope.unseal(SEALED, replace(MINE, **other), local_key())


def test_a_wrapped_key_of_another_version_does_not_open() -> None:
    other = replace(MINE, number=4)
    there = envelope.seal(VALUE, other, local_key(), random)
    with pytest.raises(SealBroken):
        envelope.unseal(replace(SEALED, wrapped=there.wrapped), MINE, local_key())


@given(mutations(SEALED.ciphertext), mutations(SEALED.wrapped))
def test_what_was_changed_does_not_open(ciphertext: bytes, wrapped: bytes) -> None:
    changed = replace(SEALED, ciphertext=ciphertext, wrapped=wrapped)
    if changed == SEALED:
        assert envelope.unseal(changed, MINE, local_key()) == VALUE
        return
    with pytest.raises(SealBroken):
        envelope.unseal(changed, MINE, local_key())


def test_another_key_has_another_id_and_opens_nothing() -> None:
    assert local_key(2).key_id != local_key(1).key_id
    with pytest.raises(SealBroken):
        envelope.unseal(SEALED, MINE, local_key(2))


def test_wrapped_anew_it_opens_with_the_new_key_only() -> None:
    again = replace(
        SEALED, kek=local_key(2).key_id, wrapped=envelope.rewrap(SEALED.wrapped, MINE, local_key(1), local_key(2))
    )
    assert envelope.unseal(again, MINE, local_key(2)) == VALUE
    with pytest.raises(SealBroken):
        envelope.unseal(again, MINE, local_key(1))


@given(st.lists(st.text(max_size=9), min_size=4, max_size=4), st.lists(st.text(max_size=9), min_size=4, max_size=4))
def test_no_two_versions_are_bound_alike(one, other) -> None:
    def bound(parts):
        name, number, kind, version_id = parts
        return envelope.binding(replace(MINE, name=name, number=number, kind=kind, version_id=version_id))

    assert (bound(one) == bound(other)) == (one == other)
