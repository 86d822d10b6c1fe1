"""Durations: what is shown is read back, whatever its length."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.model.durations import parse_duration, show_duration


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=100_000)))
def test_what_is_shown_is_read_back(duration):
    read = parse_duration(show_duration(duration))
    assert abs(read - duration) <= timedelta(microseconds=1)  # a float on the way


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (90, "90s"), (120, "2m"), (3600, "1h"), (86400, "1d"), (1_000_001, "1000001s"), (0.5, "0.5s")],
)
def test_the_largest_unit_that_fits(seconds, shown):
    assert show_duration(timedelta(seconds=seconds)) == shown
