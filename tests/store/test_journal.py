"""The hash chain: a line that is changed, missing or out of place is seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.store.journal import GENESIS, entry, first_broken, link
from tests.support import NOW

Line = tuple[int, str, str]


def _chain(entries: list[str]) -> list[Line]:
    lines: list[Line] = []
    previous = GENESIS
    for number, text in enumerate(entries, 1):
        previous = link(previous, text)
        lines.append((number, text, previous))
    return lines


entries = st.lists(st.text(max_size=10), min_size=2, max_size=8)


@given(entries)
def test_a_chain_that_nobody_touched_is_whole(texts):
    assert first_broken(_chain(texts)) is None


@given(entries, st.data())
def test_a_changed_entry_is_seen_at_its_line(texts, data):
    lines = _chain(texts)
    index = data.draw(st.integers(0, len(lines) - 1))
    number, text, digest = lines[index]
    lines[index] = (number, text + "!", digest)
    assert first_broken(lines) == number


@given(entries, st.data())
def test_an_entry_hashed_anew_breaks_the_line_behind_it(texts, data):
    lines = _chain(texts)
    index = data.draw(st.integers(0, len(lines) - 2))
    number, text, _ = lines[index]
    previous = lines[index - 1][2] if index else GENESIS
    lines[index] = (number, text + "!", link(previous, text + "!"))
    assert first_broken(lines) == number + 1


@given(entries, st.data())
def test_a_missing_line_is_seen_even_when_the_rest_is_numbered_anew(texts, data):
    lines = _chain(texts)
    index = data.draw(st.integers(0, len(lines) - 2))
    rest = lines[:index] + lines[index + 1 :]
    assert first_broken(rest) == index + 2
    numbered = [(number, text, digest) for number, (_, text, digest) in enumerate(rest, 1)]
    assert first_broken(numbered) == index + 1


@given(entries, st.data())
def test_a_line_with_another_number_is_seen(texts, data):
    lines = _chain(texts)
    index = data.draw(st.integers(0, len(lines) - 1))
    moved = [(number + 1 if at >= index else number, *rest) for at, (number, *rest) in enumerate(lines)]
    assert first_broken(moved) == index + 2


@given(entries, st.data())
def test_two_lines_that_changed_places_are_seen(texts, data):
    lines = _chain(texts)
    index = data.draw(st.integers(0, len(lines) - 2))
    lines[index], lines[index + 1] = lines[index + 1], lines[index]
    assert first_broken(lines) is not None


def test_an_entry_reads_the_same_however_its_fields_were_ordered():
    one = entry("issued", NOW, serial="7", identity="web")
    assert one.canonical() == entry("issued", NOW, identity="web", serial="7").canonical()
    assert one.canonical() != entry("issued", NOW, serial="7", identity="emoji").canonical()
    assert one.canonical() != entry("intended", NOW, serial="7", identity="web").canonical()
