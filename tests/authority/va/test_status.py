"""The index of revocations."""

from __future__ import annotations

import time

from handsel.authority.revocation import Reason
from handsel.authority.status_places import EVERYTHING, Scope
from handsel.authority.va.status import Revocation, StatusIndex
from tests.support import NOW


def revocation(number: int) -> Revocation:
    return Revocation(number, number * 7919, "issuing", NOW, Reason.KEY_COMPROMISE, NOW)


def test_what_was_revoked_is_found_by_its_ca_and_serial_number():
    index = StatusIndex()
    first = revocation(1)
    assert index.add([first, revocation(2)]) == [first, revocation(2)]
    assert index.add([first, revocation(3)]) == [revocation(3)]
    assert index.find("issuing", first.serial) == first
    assert index.find("another", first.serial) is None
    assert (index.sequence, len(index)) == (3, 3)


def test_a_scope_that_is_asked_for_later_holds_what_was_revoked_before():
    early, late = StatusIndex(), StatusIndex()
    scope = Scope(4, 1)
    early.held("issuing", scope)
    for index in (early, late):
        index.add(revocation(number) for number in range(1, 50))
    asked = [b"".join(index.held("issuing", scope).complete(49).pieces()) for index in (early, late)]
    assert asked[0] == asked[1] != b""


def test_what_was_planned_for_a_list_stays_the_same_while_the_index_goes_on():
    index = StatusIndex()
    held = index.held("issuing", EVERYTHING)
    index.add(revocation(number) for number in range(1, 700))
    held.listed(600, NOW)
    complete, changed = held.complete(699), held.changed(699)
    before = [b"".join(each.pieces()) for each in (complete, changed)]
    index.add(revocation(number) for number in range(700, 1400))
    assert [b"".join(each.pieces()) for each in (complete, changed)] == before
    assert (complete.count, changed.count) == (699, 99)
    assert before[0].endswith(before[1])
    assert len(before[1]) < len(before[0])
    assert (held.complete(1399).count, held.changed(1399).count) == (1399, 799)


def test_adding_one_costs_the_same_however_many_there_are():
    def cost(index: StatusIndex, first: int) -> float:
        best = []
        for start in range(first, first + 500, 100):
            began = time.perf_counter()
            for number in range(start, start + 100):
                index.add([revocation(number)])
            best.append(time.perf_counter() - began)
        return min(best)

    index = StatusIndex()
    index.held("issuing", EVERYTHING)
    few = cost(index, 1)
    index.add(revocation(number) for number in range(1000, 51_000))
    assert cost(index, 60_000) < 8 * few
