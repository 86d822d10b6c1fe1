"""What is written as YAML is read back as it was, by the rules of version 1.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.documents import yaml, yaml_text

_LEAVES = (
    st.booleans() | st.integers(-(10**30), 10**30) | st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
)
_TREES = st.dictionaries(
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=8),
    st.recursive(
        _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_size=4,
)


@given(_TREES)
def test_it_is_read_back(tree) -> None:
    (document,) = yaml.parse(yaml_text.write(tree).encode(), "f")
    assert document.value == tree


@pytest.mark.parametrize(
    "text", ["1e3", "no", "Null", "0x1F", "1:30", "", " a", "a: b", "-", "${x}", "*a", "y", "~", "a\nb", "1_0"]
)
def test_text_that_could_be_something_else(text: str) -> None:
    (document,) = yaml.parse(yaml_text.write({text: text}).encode(), "f")
    assert document.value == {text: text}


def test_plain_text_has_no_quotes() -> None:
    assert yaml_text.write({"path": "/etc/shop/roots.pem", "alpn": ["h2"]}) == "path: /etc/shop/roots.pem\nalpn: [h2]\n"
