"""BER made into DER: the same elements, whatever their dress, and no end to trouble for what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki import der
from handsel.pki.keystore import KeyEntry, Passwords, ber, read
from handsel.pki.keystore import pkcs12_bags as form
from tests.pki.keystore.java_tools import key_and_chain
from tests.pki.keystore.pkcs12_tools import (
    bag,
    certificate_bag,
    content_of,
    contents,
    data_part,
    encrypted_part,
    file_of,
    in_ber,
    key_id,
    octets,
    pbes2,
)

_LEAVES = st.one_of(
    st.binary(max_size=300).map(octets),
    st.integers(0, 2**100).map(der.integer),
    st.just(der.oid("1.2.840.113549.1.7.1")),
    st.binary(max_size=20).map(lambda each: der.element(0x80, each)),
)
_ELEMENTS = st.recursive(
    _LEAVES,
    lambda inner: st.tuples(st.sampled_from([0x30, 0x31, 0xA0, 0xA1]), st.lists(inner, max_size=5)).map(
        lambda each: der.element(each[0], *each[1])
    ),
    max_leaves=20,
)


@given(_ELEMENTS, st.integers(1, 100))
def test_what_was_der_before_is_der_again(element, piece):
    assert ber.to_der(in_ber(element, piece)) == element
    assert ber.to_der(element) == element


@given(st.binary(max_size=200))
def test_any_bytes_are_der_or_no_element(data):
    try:
        made = ber.to_der(data)
    except ValueError:
        return
    assert ber.to_der(made) == made


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut off"),
        (b"\x30", "cut off"),
        (b"\x30\x80", "cut off"),
        (b"\x30\x80\x00", "cut off"),
        (b"\x30\x80\x00\x00\x00", "bytes after its end"),
        (b"\x30\x85\x00\x00\x00\x00\x01", "a length is too long"),
        (b"\x30\x03\x04\x05\x00", "longer than what it lies in"),
        (b"\x04\x80\x00\x00", "does not tell its length"),
        (b"\x24\x80\x02\x01\x00\x00\x00", "no element with the tag 0x4"),
        (b"\x30\x80" * 40, "nested too deep"),
        (b"\x30\x84\x00\x10\x00\x00" + b"\x05\x00" * (1 << 19), "too many elements"),
    ],
)
def test_what_is_no_element_is_refused_soon(data, words):
    began = time.monotonic()
    with pytest.raises(ValueError, match=words):
        ber.to_der(data)
    assert time.monotonic() - began < 3


def test_a_file_of_ber_in_every_layer_is_read():
    key, chain = key_and_chain("EC")
    bags = der.sequence(
        bag(form.KEY_BAG, key.pkcs8.reveal(), key_id(b"1")),
        *(certificate_bag(each.der, key_id(b"1")) for each in chain[:1]),
    )
    inner = in_ber(der.sequence(data_part(in_ber(bags))))
    file = in_ber(der.sequence(der.integer(3), data_part(inner)))
    assert contents(read(file, Passwords())) == {content_of(KeyEntry("1", key, chain[:1]))}


def test_ciphertext_in_pieces_is_put_together():
    """[0] IMPLICIT OCTET STRING in pieces, which by its tag alone is no string (RFC 5652, section 6.1)."""
    whole = form.read_pfx(file_of(encrypted_part(pbes2(1), bytes(range(32))))).parts
    hidden = der.element(der.CONTEXT, octets(bytes(range(10))), octets(bytes(range(10, 32))))
    info = der.sequence(der.oid(form.DATA), pbes2(1), hidden)
    data = der.element(der.CONTEXT, der.sequence(der.integer(0), info))
    assert form.read_pfx(file_of(der.sequence(der.oid(form.ENCRYPTED), data))).parts == whole
