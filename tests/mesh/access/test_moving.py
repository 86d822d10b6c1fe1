"""On the way from one mode to another callers and port always understand each other, whoever is told first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.mesh.access.moving import Step, advance, following, goal, is_done
from handsel.model.access import Mode

modes = st.sampled_from(list(Mode))
PORT = ("web", 0)


def understood(takes: Mode, *, plaintext: bool) -> bool:
    return takes is Mode.PERMISSIVE or (takes is Mode.DISABLE) is plaintext


@given(modes, st.lists(st.tuples(modes, st.booleans()), max_size=12))
def test_old_and_new_configuration_go_together_at_every_step(start, wishes):
    now = before = goal(start)
    for mode, settled in wishes:
        # As long as nothing is settled, a proxy may still have what it had before.
        assert all(
            understood(port.takes, plaintext=caller.plaintext) for port in (now, before) for caller in (now, before)
        )
        then = following(now, mode, settled=settled)
        if then != now:
            before, now = (now if settled else before), then
    assert understood(now.takes, plaintext=now.plaintext)


@given(modes, modes)
def test_it_ends_where_it_should(start, wanted):
    steps, goals = {PORT: goal(start)}, {PORT: wanted}
    for _ in range(3):
        steps = advance(steps, goals, settled=True)
    assert is_done(steps, goals)
    assert steps == {PORT: goal(wanted)}


def test_from_plaintext_to_strict_there_are_two_stops_and_each_waits():
    first = following(goal(Mode.DISABLE), Mode.STRICT, settled=False)
    assert first == Step(Mode.PERMISSIVE, plaintext=True)
    assert following(first, Mode.STRICT, settled=False) == first
    second = following(first, Mode.STRICT, settled=True)
    assert second == Step(Mode.PERMISSIVE, plaintext=False)
    assert following(second, Mode.STRICT, settled=False) == second
    assert following(second, Mode.STRICT, settled=True) == goal(Mode.STRICT)


def test_a_port_that_is_new_starts_where_it_is_to_be():
    assert advance({}, {PORT: Mode.DISABLE}, settled=False) == {PORT: goal(Mode.DISABLE)}
