"""A journal that was touched is found out, wherever and however."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ledger
from handsel.authority.ledger import Line, Proof
from handsel.store import journal, merkle
from tests.support import NOW, TRUST_DOMAIN

KEY = Ed25519PrivateKey.generate()
NAME = ledger.origin(TRUST_DOMAIN, "main")


def log_of(count: int) -> list[Line]:
    lines: list[Line] = []
    previous = journal.GENESIS
    for number in range(1, count + 1):
        canonical = journal.entry("issued", NOW, serial=f"{number:x}").canonical()
        previous = journal.link(previous, canonical)
        lines.append((number, canonical, previous))
    return lines


def note_of(lines: list[Line], key: Ed25519PrivateKey = KEY, name: str = NAME) -> str:
    frontier = merkle.Frontier(merkle.leaf_hash(entry.encode()) for _, entry, _ in lines)
    return merkle.sign_checkpoint(merkle.Checkpoint(name, len(lines), frontier.root()), key)


def rewritten(lines: list[Line]) -> list[Line]:
    """The same chain with its first line forged and every hash made anew: the chain alone does not show it."""
    forged: list[Line] = []
    previous = journal.GENESIS
    for number, canonical, _ in lines:
        text = canonical.replace('"serial":"1"', '"serial":"f00"')
        previous = journal.link(previous, text)
        forged.append((number, text, previous))
    return forged


def check(lines: list[Line], *notes: str) -> list[str]:
    return ledger.check_log(NAME, lines, notes, KEY.public_key())


def test_an_honest_log_holds_with_every_checkpoint_of_it():
    lines = log_of(20)
    assert check(lines, *(note_of(lines[:size]) for size in (1, 7, 16, 20))) == []


@pytest.mark.parametrize(
    ("touch", "found"),
    [
        pytest.param(lambda lines: [*lines[:4], (5, lines[4][1].replace("5", "6"), lines[4][2]), *lines[5:]],
                     "line 5 does not follow", id="a changed line"),
        pytest.param(lambda lines: [*lines[:4], *lines[5:]], "line 6 does not follow", id="a missing line"),
        pytest.param(lambda lines: lines[:-1], "the end was cut off", id="a cut-off end"),
        pytest.param(rewritten, "not those that a checkpoint was made of", id="a chain made anew"),
    ],
)  # fmt: skip
def test_a_touched_log_is_found_out(touch, found):
    lines = log_of(10)
    note = note_of(lines)
    assert check(lines, note) == []
    assert any(found in fault for fault in check(touch(lines), note))


def test_checkpoints_of_others_are_not_believed():
    lines = log_of(3)
    assert any("another key" in fault for fault in check(lines, note_of(lines, Ed25519PrivateKey.generate())))
    assert any("another log" in fault for fault in check(lines, note_of(lines, name="test.internal/journal/two")))


@given(st.integers(1, 40), st.data())
def test_a_proof_travels_as_json_and_shows_its_line_and_no_other(count, data):
    lines = log_of(count)
    size = data.draw(st.integers(1, count))
    serial = data.draw(st.integers(1, count + 3))
    found = ledger.prove(f"{serial:x}", lines, note_of(lines[:size]), size)
    assert (found is not None) == (serial <= size)
    if found is not None:
        again = Proof.from_json(json.loads(json.dumps(found.to_json())))
        assert ledger.check_proof(again, KEY.public_key())["fields"] == {"serial": f"{serial:x}"}
        forged = replace(again, entry=again.entry.replace("issued", "revoked"))
        with pytest.raises(ValueError, match="does not lead"):
            ledger.check_proof(forged, KEY.public_key())


@pytest.mark.parametrize("content", [{}, {"entry": 1, "index": "x", "path": [], "checkpoint": ""},
                                     {"entry": 1, "index": 0, "path": ["zz"], "checkpoint": ""},
                                     {"entry": 1, "index": 0, "path": 7, "checkpoint": ""}])  # fmt: skip
def test_what_is_no_proof_is_refused_in_words(content):
    with pytest.raises(ValueError):
        ledger.check_proof(Proof.from_json(content), KEY.public_key())
