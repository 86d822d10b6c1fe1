"""When to renew: between half and two thirds of life, spread over a fleet, the same after a restart."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.agent import renewal
from handsel.link.messages import Signing
from tests.agent.things import identity
from tests.support import NOW


@pytest.fixture(scope="module")
def fleet(authority):
    return [authority.pair(identity("web"), lifetime=timedelta(hours=1)).leaf for _ in range(60)]


def test_a_certificate_is_due_between_half_and_two_thirds_of_its_life(fleet):
    ages = [renewal.due(leaf, None) - NOW for leaf in fleet]
    assert all(timedelta(minutes=30) <= age <= timedelta(minutes=40) for age in ages)


def test_a_fleet_does_not_renew_all_at_once(fleet):
    minutes = {int((renewal.due(leaf, None) - NOW) / timedelta(minutes=1)) for leaf in fleet}
    assert len(minutes) > 5


def test_the_moment_is_the_same_whenever_it_is_asked(fleet):
    assert [renewal.due(leaf, None) for leaf in fleet] == [renewal.due(leaf, None) for leaf in fleet]


def test_a_person_can_say_how_long_before_the_end(fleet):
    assert renewal.due(fleet[0], timedelta(minutes=50)) == NOW + timedelta(minutes=10)


def test_what_another_ca_signed_is_renewed_soon_and_not_all_at_once(authority, fleet):
    """Within a tenth of life from when the other one took over, but none that is younger than a fifth."""
    half_an_hour = Signing(b"another", NOW + timedelta(minutes=20))
    waits = [renewal.due(leaf, None, half_an_hour) - half_an_hour.since for leaf in fleet]
    assert all(timedelta() <= wait <= timedelta(minutes=5) for wait in waits)
    assert len({int(wait / timedelta(seconds=30)) for wait in waits}) > 4
    at_once = Signing(b"another", NOW)
    assert all(renewal.due(leaf, None, at_once) == NOW + timedelta(minutes=10) for leaf in fleet)
    same = Signing(authority.issuer.certificate.key_id, NOW)
    assert [renewal.due(leaf, None, same) for leaf in fleet] == [renewal.due(leaf, None) for leaf in fleet]


def test_waiting_grows_with_every_failure_and_ends_at_half_a_minute():
    waits = [renewal.backoff(failures) for failures in range(1, 100)]
    assert waits[0] == timedelta(seconds=0.5)
    assert waits == sorted(waits)
    assert waits[1] > waits[0]
    assert waits[-1] == timedelta(seconds=30)


def test_a_certificate_is_overdue_only_after_every_moment_at_which_it_could_have_been_renewed(fleet):
    for leaf in fleet:
        assert not renewal.is_overdue(leaf, renewal.due(leaf, None))
        assert not renewal.is_overdue(leaf, NOW + timedelta(minutes=45))
        assert renewal.is_overdue(leaf, NOW + timedelta(minutes=47))
