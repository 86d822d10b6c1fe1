"""Blocks of PEM (RFC 7468): what is in a file comes out, whatever stands around; what does not end is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki import pem_blocks

_LABELS = st.from_regex(r"[A-Z0-9]{1,10}( [A-Z0-9]{1,10}){0,3}", fullmatch=True)
_TEXT = st.binary(max_size=50).filter(lambda text: b"--" not in text and not text.endswith(b"-"))


@given(st.lists(st.tuples(_TEXT, _LABELS, st.binary(max_size=200)), max_size=4), st.booleans())
def test_every_block_comes_out_with_what_stands_above(parts, crlf):
    content = b""
    for before, label, data in parts:
        content += before + pem_blocks.written(label, data).rstrip(b"\n")
    if crlf:
        content = content.replace(b"\n", b"\r\n")
    found = list(pem_blocks.blocks(content))
    assert [(each.label, each.data()) for each in found] == [(label, data) for _, label, data in parts]
    if not crlf:
        assert [each.before for each in found] == [before for before, _, _ in parts]


def test_headers_are_apart_from_what_it_holds():
    text = b"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nYWJj\nZGVm\n-----END X-----\n"
    for content in (text, text.replace(b"\n", b"\r\n")):
        (block,) = pem_blocks.blocks(content)
        assert block.headers == {"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}
        assert block.data() == b"abcdef"
    (block,) = pem_blocks.blocks(pem_blocks.written("X", b"abc"))
    assert block.headers == {}


def test_lines_have_64_characters():
    lines = pem_blocks.written("X", bytes(100)).splitlines()
    assert [len(each) for each in lines[1:-1]] == [64, 64, 8]


@pytest.mark.parametrize(
    "content",
    [b"-----BEGIN X-----", b"-----BEGIN X-----\n-----END Y-----", b"-----BEGIN ", b"-----BEGIN X", b"-----BEGIN -----",
     b"-----BEGIN " + b"X" * 64 + b"-----\n-----END " + b"X" * 64 + b"-----\n"],
)  # fmt: skip
def test_what_does_not_end_is_said(content):
    with pytest.raises(ValueError, match="a block begins at byte 2 and does not end"):
        list(pem_blocks.blocks(b"..\n"[:2] + content))


def test_what_is_no_base64_is_said():
    (block,) = pem_blocks.blocks(b"-----BEGIN X-----\n####\n-----END X-----\n")
    with pytest.raises(ValueError, match="a block 'X' is no base64"):
        block.data()


@given(st.binary(max_size=300))
def test_any_bytes_are_blocks_or_a_line(content):
    try:
        for block in pem_blocks.blocks(b"-----BEGIN A-----" + content + b"-----END A-----"):
            assert block.headers is not None
            block.data()
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
