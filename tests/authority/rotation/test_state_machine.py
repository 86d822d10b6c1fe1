"""The rotation's state machine, whatever happens and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from handsel.authority import ca, rotation
from handsel.authority.hierarchy import Known, State
from handsel.authority.rotation import Control, Facts, Step
from handsel.authority.service import random_serial
from handsel.errors import Refused
from handsel.pki.keys import PrivateKey
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

_ROOT_KEY = PrivateKey.generate()
_ROOT = ca.make_root(TRUST_DOMAIN, _ROOT_KEY, serial=random_serial(), now=NOW)
_DWELL = timedelta(minutes=5)
_NOBODY = Control("issuing")


def _certificate():
    key = PrivateKey.generate()
    return ca.make_issuing(TRUST_DOMAIN, key, _ROOT, _ROOT_KEY, serial=random_serial(), now=NOW)


def _first():
    return Known(_certificate(), "issuing", State.ACTIVE, "issuing", NOW)


def _apply(cas: dict[str, Known], step: Step) -> None:
    cas.update({each.key_id: each for each in step.changes})


class Rotations(RuleBasedStateMachine):
    """People, holders and time act as they like; each step is taken as the adapter would."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.cas: dict[str, Known] = {}
        _apply(self.cas, Step((_first(),)))
        self.control = _NOBODY
        self.waiting: set[str] = set()
        self.leaves = 0
        self.below: tuple[str, ...] = ()
        self.removed: set[str] = set()

    def of(self, *states: State) -> list[Known]:
        return [each for each in self.cas.values() if each.state in states]

    @rule()
    def begin(self) -> None:
        """A rotation begins, or is refused because one is under way."""
        busy = bool(self.of(State.NEXT, State.PUBLISHED))
        try:
            _apply(self.cas, rotation.begin(list(self.cas.values()), _certificate(), "k", self.now))
        except Refused:
            assert busy
        else:
            assert not busy
            self.waiting = {"web", "emoji"}

    @rule(minutes=st.integers(0, 10))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(who=st.sampled_from(["web", "emoji"]))
    def acknowledge(self, who: str) -> None:
        self.waiting.discard(who)

    @rule(paused=st.booleans(), override=st.sampled_from(["", "emoji is gone for good"]))
    def people_decide(self, paused: bool, override: str) -> None:
        self.control = replace(self.control, paused=paused, override=override)

    @rule(count=st.integers(0, 3), below=st.sampled_from([(), ("issuing",)]))
    def something_of_it_lives(self, count: int, below: tuple[str, ...]) -> None:
        self.leaves, self.below = count, below

    @rule()
    def step(self) -> None:
        """The next step, and again from the same state: the same."""
        before = dict(self.cas)
        facts = Facts(tuple(sorted(self.waiting)), self.leaves, self.below, dwell=_DWELL)
        step = rotation.advance(list(before.values()), facts, self.control, self.now)
        assert step == rotation.advance(list(before.values()), facts, self.control, self.now)
        assert not (step.changes and step.held_up_by)
        if self.control.paused:
            assert not step.changes
        for each in step.changes:
            was = before[each.key_id]
            if each.state is State.ACTIVE:
                assert was.state is State.PUBLISHED
                assert self.control.override or (not self.waiting and self.now >= was.since + _DWELL)
            if each.state is State.REMOVED and was.state is State.RETIRING:
                free = not self.leaves and not self.below and self.now >= was.since + _DWELL
                assert free or self.now >= each.certificate.not_after
        _apply(self.cas, step)

    @rule()
    def undo(self) -> None:
        try:
            _apply(self.cas, rotation.undo(list(self.cas.values()), self.now))
        except Refused:
            assert not self.of(State.NEXT, State.PUBLISHED, State.RETIRING)

    @precondition(lambda self: self.of(State.RETIRING))
    @rule()
    def taint(self) -> None:
        _apply(self.cas, rotation.taint(list(self.cas.values()), self.now))

    @invariant()
    def one_signs(self) -> None:
        assert len(self.of(State.ACTIVE)) == 1

    @invariant()
    def one_newcomer_at_most(self) -> None:
        assert len(self.of(State.NEXT, State.PUBLISHED)) <= 1

    @invariant()
    def removed_is_for_ever(self) -> None:
        now_removed = {each.key_id for each in self.of(State.REMOVED)}
        assert self.removed <= now_removed
        self.removed = now_removed


TestRotations = Rotations.TestCase


def test_a_rotation_goes_all_the_way_and_names_what_holds_it_up():
    old = _first()
    cas: dict[str, Known] = {old.key_id: old}
    new = rotation.begin([old], _certificate(), "issuing.2", NOW).changes[0]
    _apply(cas, Step((new,)))

    def advance(facts: Facts, at: timedelta, control: Control = _NOBODY) -> Step:
        step = rotation.advance(list(cas.values()), facts, control, NOW + at)
        _apply(cas, step)
        return step

    assert advance(Facts(), timedelta()).changes[0].state is State.PUBLISHED
    waits = advance(Facts(("host/web",), dwell=_DWELL), timedelta(minutes=1))
    assert waits.held_up_by[0] == "host/web does not use it yet"
    assert "cannot acknowledge" in waits.held_up_by[1]
    assert advance(Facts(), timedelta(hours=1), replace(_NOBODY, paused=True, by="ann")).held_up_by == (
        "paused by ann",
    )
    advance(Facts(dwell=_DWELL), timedelta(hours=1))
    assert (cas[new.key_id].state, cas[old.key_id].state) == (State.ACTIVE, State.RETIRING)
    assert advance(Facts(leaves=2), timedelta(hours=2)).held_up_by == ("2 certificates that it signed still live",)
    advance(Facts(), timedelta(hours=3))
    assert cas[old.key_id].state is State.REMOVED
    assert rotation.advance(list(cas.values()), Facts(), _NOBODY, NOW) == Step()


def test_a_tainted_ca_waits_for_whoever_shows_it_and_for_nothing_else():
    old, new = replace(_first(), state=State.TAINTED), replace(_first(), since=NOW)
    waits = rotation.advance([old, new], Facts(leaves=3, below=("issuing",), showing=("host/web",)), _NOBODY, NOW)
    assert waits.held_up_by == ("host/web still shows a certificate that leads to it",)
    free = rotation.advance([old, new], Facts(leaves=3, below=("issuing",), dwell=_DWELL), _NOBODY, NOW)
    assert [each.state for each in free.changes] == [State.REMOVED]


def _root(state: State, key: str) -> tuple[Known, PrivateKey]:
    private = PrivateKey.generate()
    root = ca.make_root(TRUST_DOMAIN, private, serial=random_serial(), now=NOW)
    return Known(root, "root", state, key, NOW), private


def _below(root: tuple[Known, PrivateKey], state: State, key: str) -> Known:
    issuing = ca.make_issuing(
        TRUST_DOMAIN, PrivateKey.generate(), root[0].certificate, root[1], serial=random_serial(), now=NOW
    )
    return Known(issuing, "issuing", state, key, NOW)


def test_issuing_cas_follow_a_root_that_signs_and_go_back_with_it():
    old, new = _root(State.ACTIVE, "root"), _root(State.PUBLISHED, "root.2")
    first = _below(old, State.ACTIVE, "issuing")
    assert not rotation.must_follow([old[0], new[0]], [first])
    roots = [replace(old[0], state=State.RETIRING), replace(new[0], state=State.ACTIVE)]
    assert rotation.must_follow(roots, [first])
    second = _below(new, State.NEXT, "issuing.2")
    assert not rotation.must_follow(roots, [first, second])
    followed = [replace(first, state=State.RETIRING), replace(second, state=State.ACTIVE)]
    assert not rotation.must_follow(roots, followed)

    def states(cas: list[Known], other: list[Known]) -> dict[str, State]:
        return {each.key: each.state for each in rotation.undo_root(roots, [cas, other], NOW).changes}

    elsewhere = _below(old, State.ACTIVE, "partners")
    assert states(followed, [elsewhere]) == {
        "root": State.ACTIVE, "root.2": State.RETIRING, "issuing": State.ACTIVE, "issuing.2": State.RETIRING,
    }  # fmt: skip
    assert states([first, second], [])["issuing.2"] is State.REMOVED
    assert "partners" not in states([first, second], [elsewhere])


def test_a_renewed_ca_has_a_new_key_pki_2_3():
    old = _first()
    with pytest.raises(Refused, match="new key"):
        rotation.begin([old], old.certificate, "issuing.2", NOW)
    assert rotation.begin([old], _certificate(), "issuing.2", NOW).changes


def test_a_leaf_of_a_ca_that_signs_no_more_is_taken_over():
    before, after = TestAuthority.make(), TestAuthority.make()
    leaf = before.pair(TRUST_DOMAIN.workload("default", "web")).leaf
    assert rotation.taken_over(leaf, [after.issuer])
    assert not rotation.taken_over(leaf, [after.issuer, before.issuer])
