"""Signatures over plain bytes, by keys of every kind."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from hypothesis import given

from handsel.pki import signature
from handsel.pki.keys import KeyType, PrivateKey
from tests.support import mutations

KEY = PrivateKey.generate()
MADE = signature.sign(KEY.handle, b"content")


@pytest.mark.parametrize("kind", list(KeyType))
def test_every_kind_of_key_signs_and_is_believed_for_just_that(kind):
    key, other = PrivateKey.generate(kind), PrivateKey.generate(kind)
    made = signature.sign(key.handle, b"content")
    assert signature.holds(key.handle.public_key(), made, b"content")
    assert not signature.holds(key.handle.public_key(), made, b"contents")
    assert not signature.holds(other.handle.public_key(), made, b"content")
    assert not signature.holds(key.handle.public_key(), made[:-1], b"content")


def test_keys_of_others_may_be_on_larger_curves():
    key = ec.generate_private_key(ec.SECP521R1())
    assert signature.holds(key.public_key(), signature.sign(key, b"content"), b"content")


def test_a_weak_key_holds_for_nothing():
    key = rsa.generate_private_key(65537, 1024)  # what is refused
    assert not signature.holds(key.public_key(), signature.sign(key, b"content"), b"content")


def test_a_key_that_does_not_sign_neither_signs_nor_holds():
    key = x25519.X25519PrivateKey.generate()
    with pytest.raises(ValueError, match="does not sign"):
        signature.sign(key, b"content")
    assert not signature.holds(key.public_key(), bytes(64), b"content")


@given(mutations(MADE))
def test_a_damaged_signature_never_holds(made):
    assert signature.holds(KEY.handle.public_key(), made, b"content") == (made == MADE)
