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
