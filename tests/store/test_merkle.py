"""Merkle trees against the definition of RFC 9162, section 2.1, and checkpoints that cannot be forged."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from handsel.store.merkle import (
    Checkpoint,
    Frontier,
    inclusion_proof,
    is_included,
    leaf_hash,
    open_checkpoint,
    sign_checkpoint,
)

ENTRIES = st.lists(st.binary(max_size=20), max_size=40)


def by_definition(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(entries[:split]) + by_definition(entries[split:])).digest()


@given(ENTRIES)
def test_the_root_is_the_one_of_the_definition(entries):
    assert Frontier(map(leaf_hash, entries)).root() == by_definition(entries)


def test_a_known_tree():
    """The first roots of the test vectors that certificate transparency logs use."""
    inputs = [b"", b"\x00", b"\x10"]
    assert Frontier([leaf_hash(inputs[0])]).root().hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert Frontier(map(leaf_hash, inputs[:2])).root().hex() == (
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )


@given(ENTRIES.filter(bool), st.data())
def test_a_proof_shows_its_entry_at_its_place_and_no_other(entries, data):
    index = data.draw(st.integers(0, len(entries) - 1))
    leaves = [leaf_hash(entry) for entry in entries]
    root, proof = Frontier(leaves).root(), inclusion_proof(index, leaves)
    assert is_included(leaves[index], index, len(leaves), proof, root)
    assert not is_included(leaf_hash(b"another entry that is in no list"), index, len(leaves), proof, root)
    assert not is_included(leaves[index], len(leaves), len(leaves), proof, root)
    if proof:
        assert not is_included(leaves[index], index, len(leaves), proof[:-1], root)
        changed = [bytes(byte ^ 1 for byte in proof[0]), *proof[1:]]
        assert not is_included(leaves[index], index, len(leaves), changed, root)


def test_a_checkpoint_is_read_back_and_believed_only_with_its_key():
    key = Ed25519PrivateKey.generate()
    made = Checkpoint("shop.internal/journal/1", 7, b"r" * 32)
    note = sign_checkpoint(made, key)
    assert open_checkpoint(note, key.public_key()) == made
    with pytest.raises(ValueError, match="another key"):
        open_checkpoint(note, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(ValueError, match="does not hold"):
        open_checkpoint(note.replace("\n7\n", "\n6\n"), key.public_key())


@given(st.text(max_size=200))
def test_text_that_is_no_checkpoint_is_refused_in_words(text):
    with pytest.raises(ValueError):
        open_checkpoint(text, Ed25519PrivateKey.generate().public_key())
