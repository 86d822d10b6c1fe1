"""Users of their own: the same after a restart, nobody's twice."""

from __future__ import annotations

import pytest

from handsel.agent.users import own_user
from handsel.errors import StateError


def _nobody(_uid: int) -> bool:
    return False


def test_a_service_has_the_same_user_after_a_restart_and_another_one_in_another_folder():
    first = own_user("/var/lib/a", "web", set(), _nobody)
    assert own_user("/var/lib/a", "web", set(), _nobody) == first
    assert own_user("/var/lib/b", "web", set(), _nobody) != first


def test_a_user_that_is_taken_or_that_the_machine_knows_is_passed_over():
    first = own_user("/s", "web", set(), _nobody)
    assert own_user("/s", "web", {first.uid}, _nobody).uid != first.uid
    assert own_user("/s", "web", set(), lambda uid: uid == first.uid).uid != first.uid


def test_a_host_whose_users_are_all_taken_says_so():
    with pytest.raises(StateError):
        own_user("/s", "web", set(), lambda _uid: True)
