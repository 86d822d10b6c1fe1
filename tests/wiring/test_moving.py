"""A change of modes waits for the proxies that it concerns, and for no others."""

from __future__ import annotations

from handsel.link.report import WorkloadReport
from handsel.mesh.access.moving import Step, goal
from handsel.model.access import Mode
from handsel.wiring.moving import Moving
from tests.support import read_mesh

PORT = ("emoji", 0)
TEXT = "services: {web: {calls: [emoji]}, emoji: {mode: %s}, other: {}}"
DISABLED, STRICT = read_mesh(TEXT % "disable"), read_mesh(TEXT % "strict")


def places(**in_sync: bool):
    return {
        "host": {
            name: WorkloadReport(name, "10.0.0.1", 1, 2, 3, {}, "/l", in_sync=each) for name, each in in_sync.items()
        }
    }


def test_every_step_waits_for_the_proxies_that_it_changed():
    moving, all_in_sync = Moving(), places(web=True, emoji=True, other=True)
    assert moving.steps(DISABLED, all_in_sync, 0)[PORT] == goal(Mode.DISABLE)
    assert moving.pause is None
    first = Step(Mode.PERMISSIVE, plaintext=True)
    assert moving.steps(STRICT, all_in_sync, 100)[PORT] == first
    assert moving.pause
    moving.told([("host", "emoji")])
    assert moving.steps(STRICT, all_in_sync, 101)[PORT] == first, "too early for the agent to have heard of it"
    assert moving.steps(STRICT, places(web=True, emoji=False, other=True), 110)[PORT] == first
    second = Step(Mode.PERMISSIVE, plaintext=False)
    assert moving.steps(STRICT, places(web=True, emoji=True, other=False), 111)[PORT] == second
    moving.told([("host", "web")])
    assert moving.steps(STRICT, places(web=False, emoji=True, other=True), 120)[PORT] == second
    assert moving.steps(STRICT, all_in_sync, 121)[PORT] == goal(Mode.STRICT)
    assert moving.pause is None


def test_a_proxy_that_is_late_is_asked_for_less_and_less_often():
    moving = Moving()
    moving.steps(DISABLED, {}, 0)
    moving.steps(STRICT, places(emoji=True), 1)
    moving.told([("host", "emoji")])
    pauses = []
    for now in (4, 40, 400):
        moving.steps(STRICT, places(emoji=False), now)
        pauses.append(moving.pause)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


def test_a_server_goes_on_where_it_or_another_stopped():
    first, all_in_sync = Moving(), places(web=True, emoji=True, other=True)
    first.steps(DISABLED, all_in_sync, 0)
    assert first.body()
    second = Moving()
    second.restore(first.body())
    assert second.steps(STRICT, all_in_sync, 50)[PORT] == Step(Mode.PERMISSIVE, plaintext=True)
    second.told([("host", "emoji")])
    third = Moving()
    third.restore(second.body())
    assert third.steps(STRICT, all_in_sync, 90)[PORT] == Step(Mode.PERMISSIVE, plaintext=True), "nobody was asked yet"
    third.told([("host", "emoji"), ("host", "web")])
    assert third.steps(STRICT, places(web=False, emoji=True), 99)[PORT] == Step(Mode.PERMISSIVE, plaintext=True)
    assert third.steps(STRICT, all_in_sync, 100)[PORT] == Step(Mode.PERMISSIVE, plaintext=False)


def test_where_all_was_strict_nothing_is_published_and_a_restart_goes_through_both():
    moving = Moving()
    moving.steps(STRICT, places(emoji=True), 0)
    assert moving.body() == b""
    again = Moving()
    again.restore(b"")
    assert again.steps(DISABLED, places(emoji=True), 10)[PORT].takes is Mode.PERMISSIVE


def test_what_another_server_did_meanwhile_counts_here():
    moving = Moving()
    moving.steps(DISABLED, {}, 0)
    moving.restore(b'{"ports": [["emoji", 0, "permissive", false]]}')
    assert moving.steps(STRICT, places(emoji=True), 50)[PORT] == Step(Mode.PERMISSIVE, plaintext=False)
