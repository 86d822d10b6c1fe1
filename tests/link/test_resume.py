"""What is published anew: what differs, and a taking-away for what is no longer wanted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.link.resume import Publish, Published

keys = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["bundle", "resources"]), st.sampled_from(["", "web"]))
bodies = st.binary(min_size=1, max_size=2)
states = st.dictionaries(keys, bodies)


def _publications(wanted: dict[tuple[str, str, str], bytes]) -> list[Publish]:
    return [Publish(*key, body) for key, body in wanted.items()]


def _apply(current: dict[tuple[str, str, str], bytes], changes: list[Publish]) -> dict:
    return current | {each.key_of: each.body for each in changes}


def _changed(current: dict[tuple[str, str, str], bytes], wanted: list[Publish]) -> list[Publish]:
    """What a server publishes that finds `current` in its store."""
    published = Published()
    for sequence, (key, body) in enumerate(current.items(), 1):
        published.note(sequence, Publish(*key, body))
    return [*published.differing(wanted), *published.gone({each.key_of for each in wanted})]


def _there(state: dict) -> dict:
    return {key: body for key, body in state.items() if body}


@given(states, states)
def test_the_changes_lead_from_what_is_there_to_what_is_wanted(current, wanted):
    after = _apply(current, _changed(current, _publications(wanted)))
    assert _there(after) == wanted


@given(states, states)
def test_nothing_is_published_twice(current, wanted):
    after = _apply(current, _changed(current, _publications(wanted)))
    assert _changed(after, _publications(wanted)) == []


@given(states, states)
def test_only_what_differs_is_published(current, wanted):
    for each in _changed(current, _publications(wanted)):
        assert current.get(each.key_of) != wanted.get(each.key_of)


def test_what_was_taken_away_can_come_back():
    key = ("a", "resources", "web")
    gone = _apply({key: b"1"}, _changed({key: b"1"}, []))
    assert gone == {key: b""}
    assert _changed(gone, [Publish(*key, b"1")]) == [Publish(*key, b"1")]


def test_publications_keep_the_order_in_which_they_are_wanted():
    wanted = [Publish("a", kind, "", b"1") for kind in ("assignment", "resources", "bundle")]
    assert _changed({}, wanted) == wanted
