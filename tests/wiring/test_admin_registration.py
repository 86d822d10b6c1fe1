"""What a person may ask about joining, and what is refused before it reaches the store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority.model import TicketBounds
from handsel.errors import UsageError
from handsel.wiring.admin.registration import read_bounds
from handsel.wiring.registration import read_selectors


def test_bounds_are_read_in_one_form():
    wish = {"host_name": "a.example", "network": "10.0.0.7", "key_pin": "AB" * 32}
    assert read_bounds(wish) == TicketBounds("a.example", "10.0.0.7/32", "ab" * 32)
    assert read_bounds({}) == read_bounds({"network": None, "key_pin": ""}) == TicketBounds()


@pytest.mark.parametrize(
    "wish",
    [{"network": "10.0.0.1/8"}, {"network": "everywhere"}, {"network": 7.5}, {"key_pin": "ab"}, {"key_pin": "g" * 64}],
)
def test_bounds_that_make_no_sense_are_refused_with_the_next_step(wish):
    with pytest.raises(UsageError) as caught:
        read_bounds(wish)
    assert caught.value.next_step


@given(st.dictionaries(st.sampled_from(["host_name", "network", "key_pin"]), st.text() | st.integers() | st.none()))
def test_any_bounds_are_bounds_or_refused(wish):
    try:
        read_bounds(wish)
    except UsageError:
        return


def test_selectors_are_read_from_what_a_person_has():
    found = read_selectors("oidc", b'{"repository": "acme/web"}', None, ["ref=main", "group=a", "group=b", "x=y=z"])
    assert found["repository_name"] == ("web",)
    assert (found["ref"], found["group"], found["x"]) == (("main",), ("a", "b"), ("y=z",))


@pytest.mark.parametrize(
    ("claims", "certificate", "written"),
    [
        (b"[]", None, []),
        (b"{", None, []),
        (b"[" * 100000, None, []),
        (None, b"no certificate", []),
        (None, None, ["ref"]),
    ],
)
def test_selectors_that_cannot_be_read_are_refused(claims, certificate, written):
    with pytest.raises(UsageError):
        read_selectors("oidc", claims, certificate, written)
