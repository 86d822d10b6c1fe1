"""Manifests as text: read as kubectl reads them, written with the words they had."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import InvalidFile
from handsel.mesh.inject.text import read, write
from tests.mesh.inject.manifests import needs_kubectl

WORDS = [
    *["y", "Y", "n", "N", "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "true", "True", "TRUE", "false", "False", "FALSE", "yEs"], "null", "~", "0644", "-017", "0o17", "0x1F", "0b11", "12",
    "-3", "+4", "1e3", "1.5", ".5", "08", "1.10", "web", "2001-01-01", "1:30", "'yes'", '"0644"', "!!str 1", "0",
]  # fmt: skip


def _value(text: str) -> object:
    (manifest,) = read(text.encode(), "x.yaml")
    return manifest.document.value


@needs_kubectl
def test_words_mean_what_kubectl_takes_them_for(tmp_path):
    """In a field of any type: kubectl is asked for all of them at once."""
    lines = "".join(f"  k{index}: {word}\n" for index, word in enumerate(WORDS))
    text = f"apiVersion: example.org/v1\nkind: Any\nmetadata: {{name: a}}\nspec:\n{lines}"
    file = tmp_path / "any.yaml"
    file.write_text(text)
    done = subprocess.run(
        ["kubectl", "annotate", "--local", "-f", file, "a=b", "-o", "json"], capture_output=True, check=True, timeout=30
    )
    assert _value(text)["spec"] == json.loads(done.stdout)["spec"]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_written_as_it_stood(word: str):
    text = f"a: {word}\n"
    (manifest,) = read(text.encode(), "x.yaml")
    (again,) = read(write([manifest.node]).encode(), "x.yaml")
    assert again.document.value == manifest.document.value
    if not word.startswith("!!"):
        assert write([manifest.node]) == text


def test_aliases_and_merges_are_written_out():
    text = "base: &b {x: 1, y: [2]}\nother: {<<: *b, x: 3}\nboth: {<<: [*b, {x: 4, z: 5}]}\nsame: *b\n"
    expected = {
        "base": {"x": 1, "y": [2]}, "other": {"x": 3, "y": [2]}, "both": {"x": 1, "y": [2], "z": 5},
        "same": {"x": 1, "y": [2]},
    }  # fmt: skip
    # Without quotes `y` is true as a value, and a key all the same.
    assert _value(text) == expected
    (manifest,) = read(text.encode(), "x.yaml")
    assert "*" not in write([manifest.node])


def test_a_place_is_where_a_value_stands():
    (manifest,) = read(b"a: 1\nb:\n  - c: 2\n", "x.yaml")
    assert manifest.document.place(("b", 0, "c")) == (3, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not YAML"),
        ("a: 1\na: 2", "twice"),
        ("a: &x [*x]", "more than 40 levels"),
        ("a: !Ref x", "tag"),
        ("{" * 100_000, "not YAML"),
        ("#" * (1 << 20) + "\na: 1", "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str, message: str):
    with pytest.raises(InvalidFile, match=message) as caught:
        read(text.encode(), "x.yaml")
    assert str(caught.value).startswith("x.yaml:1:") or ":2:" in str(caught.value)


def test_many_small_aliases_cost_little():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(InvalidFile, match="values"):
        read("\n".join(lines).encode(), "x.yaml")


@given(st.binary(max_size=80) | st.text("a:-{}[]&*<!|>'\"\n #%~01", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes):
    try:
        manifests = read(content, "x.yaml")
    except InvalidFile:
        return
    again = read(write([each.node for each in manifests]).encode(), "x.yaml") if manifests else []
    assert [each.document.value for each in again] == [each.document.value for each in manifests]
