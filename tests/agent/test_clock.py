"""The server's time counts, however the clock of this host is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.clock import LARGEST_SKEW, Clock

START = datetime(2030, 1, 1, tzinfo=UTC)
HOURS = st.integers(-48, 48).map(lambda hours: timedelta(hours=hours))


class Host:
    """A host whose clock somebody sets."""

    def __init__(self) -> None:
        self.real = START
        self.skew = timedelta()
        self.clock = Clock(self.shown, self.seconds)

    def shown(self) -> datetime:
        return self.real + self.skew

    def seconds(self) -> float:
        return (self.real - START).total_seconds()


def test_a_host_that_has_heard_nothing_goes_by_its_own_clock():
    host = Host()
    host.skew = timedelta(hours=3)
    assert host.clock.now() == START + timedelta(hours=3)
    assert host.clock.problem == ""


@given(before=HOURS, after=HOURS, gone=st.integers(0, 10**6))
def test_once_the_server_has_spoken_no_jump_of_the_clock_counts(before, after, gone):
    host = Host()
    host.skew = before
    host.clock.heard(START)
    host.real += timedelta(seconds=gone)
    host.skew = after
    assert host.clock.now() == host.real
    assert bool(host.clock.problem) == (abs(after) > LARGEST_SKEW)


@pytest.mark.parametrize(
    ("skew", "told"),
    [
        (timedelta(minutes=5), "5 min ahead of"),
        (-timedelta(hours=7), "7 h behind"),
        (timedelta(seconds=40), "40 s ahead of"),
    ],
)
def test_the_difference_is_told_as_people_say_it(skew: timedelta, told: str):
    host = Host()
    host.clock.heard(START)
    host.skew = skew
    assert told in host.clock.problem
