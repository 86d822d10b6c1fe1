"""Alerts are told once, again when they last, and when they are over."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from handsel.model.telemetry import AlertKind
from handsel.telemetry.alerts import AGAIN_AFTER, Alerts, Condition, Plaintext, Status
from tests.support import NOW

EXPIRY = Condition(AlertKind.EXPIRY, "web on a", "the certificate of web ends")
NACK = Condition(
    AlertKind.NACK, "web on a: inbound", "refused", {"origin": "handsel.yaml:3"}, hold=timedelta(seconds=5)
)
SECOND = timedelta(seconds=1)


def test_a_condition_is_told_once_then_every_hour_and_its_end() -> None:
    alerts = Alerts()
    (first,) = alerts.look([EXPIRY], NOW)
    assert (first.status, first.again, first.since) == (Status.FIRING, False, NOW)
    assert alerts.look([EXPIRY], NOW + AGAIN_AFTER - SECOND) == ()
    (again,) = alerts.look([EXPIRY], NOW + AGAIN_AFTER)
    assert (again.status, again.again, again.since) == (Status.FIRING, True, NOW)
    (over,) = alerts.look([], NOW + AGAIN_AFTER + SECOND)
    assert (over.status, over.since) == (Status.RESOLVED, NOW)
    assert alerts.look([], NOW + 2 * AGAIN_AFTER) == ()
    assert alerts.active == ()


def test_new_words_for_the_same_are_no_new_alert() -> None:
    alerts = Alerts()
    alerts.look([EXPIRY], NOW)
    later = Condition(AlertKind.EXPIRY, EXPIRY.subject, "it has ended")
    assert alerts.look([later], NOW + SECOND) == ()
    assert alerts.active == (later,)


def test_what_is_mended_soon_is_told_to_nobody() -> None:
    alerts = Alerts()
    assert alerts.look([NACK], NOW) == ()
    assert alerts.look([], NOW + 4 * SECOND) == ()  # neither that it began nor that it is over
    alerts.look([NACK], NOW + 10 * SECOND)
    assert [each.status for each in alerts.look([NACK], NOW + 15 * SECOND)] == [Status.FIRING]


def test_a_notice_is_json_with_all_that_a_person_needs() -> None:
    (notice,) = Alerts().look([EXPIRY], NOW)
    body = json.loads(json.dumps(notice.to_json("shop.internal")))
    assert body["alert"] == "expiry"
    assert body["status"] == "firing"
    assert body["trust_domain"] == "shop.internal"
    assert body["summary"] == EXPIRY.summary
    assert body["since"].startswith("2030-01-01T12:00:00")


conditions = st.lists(
    st.builds(Condition, st.sampled_from(list(AlertKind)), st.sampled_from(["a", "b"]), st.just("x")), max_size=5
)


@given(st.lists(conditions, max_size=12))
def test_every_alert_that_was_told_is_told_to_be_over(looks: list[list[Condition]]) -> None:
    alerts, told = Alerts(), set()
    for step, found in enumerate([*looks, []]):
        for notice in alerts.look(found, NOW + step * SECOND):
            key = notice.condition.key
            assert (notice.status is Status.RESOLVED) == (key in told)  # within the hour
            told ^= {key}
        assert {each.key for each in alerts.active} == told == {each.key for each in found}
    assert not told


def test_plaintext_counts_and_falls_silent() -> None:
    plaintext = Plaintext(quiet=timedelta(minutes=15))
    plaintext.note("web", "10.0.0.9", 2, NOW)
    plaintext.note("web", "10.0.0.9", 3, NOW + SECOND)
    (condition,) = plaintext.conditions(NOW + 2 * SECOND)
    assert condition.details["count"] == "5"
    assert plaintext.counts == {("10.0.0.9", "web"): 5}
    assert plaintext.conditions(NOW + timedelta(minutes=16)) == []
    for number in range(5000):
        plaintext.note("web", str(number), 1, NOW)
    assert len(plaintext.counts) == 1000
