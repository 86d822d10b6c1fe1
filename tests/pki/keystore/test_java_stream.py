"""Java's modified UTF-8, which differs from UTF-8 for U+0000 and for what lies above U+FFFF."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import StoreUnreadable
from handsel.pki.keystore import java_stream
from handsel.pki.keystore.java_stream import Cursor, decode, encode


@given(st.text())
def test_text_comes_back_and_only_two_kinds_of_letters_differ_from_utf8(text):
    encoded = encode(text)
    assert decode(encoded) == text
    assert b"\0" not in encoded
    if all(0 < ord(each) < 0x10000 for each in text):
        assert encoded == text.encode()


def test_letters_above_u_ffff_are_two_surrogates():
    assert encode("a\0🦆") == bytes.fromhex("61 c080 eda0be edb686")
    assert decode("🦆".encode()) == "🦆"  # what is not Java may write so


@pytest.mark.parametrize("half", ["eda0be", "edb686"])
def test_half_a_letter_is_read_as_a_mark_and_never_written(half):
    assert decode(b"a" + bytes.fromhex(half) + b"b") == "a\ufffdb"
    with pytest.raises(UnicodeEncodeError):
        encode(bytes.fromhex(half).decode("utf-8", "surrogatepass"))


@given(st.binary())
def test_any_bytes_are_text_that_can_be_printed_or_refused(content):
    try:
        text = decode(content)
    except UnicodeDecodeError:
        return
    text.encode()


@given(st.binary(max_size=6), st.integers(0, 8))
def test_nothing_is_read_beyond_the_end(content, size):
    cursor = Cursor(content)
    if size <= len(content):
        assert cursor.take(size, "it") == content[:size]
        assert cursor.left == len(content) - size
    else:
        with pytest.raises(StoreUnreadable, match=f"it needs {size} bytes, and {len(content)} are left"):
            cursor.take(size, "it")


def test_values_are_read_as_they_are_written():
    written = java_stream.short(65_535) + java_stream.number(2**32 - 1) + java_stream.long(-5)
    cursor = Cursor(written + java_stream.text("ü") + java_stream.block(b"x"))
    assert (cursor.short("a"), cursor.number("a"), cursor.long("a")) == (65_535, 2**32 - 1, -5)
    assert (cursor.text("a"), cursor.block("a"), cursor.left) == ("ü", b"x", 0)
