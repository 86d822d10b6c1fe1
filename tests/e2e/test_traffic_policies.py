"""How callers speak to a callee, through real proxies: who is asked, how many at a time, and who is left out."""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.asking import Answer, ask, share
from tests.e2e.mesh_process import TCP_PROGRAM, Mesh, mesh, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'tells_all.py'}"
TEXT = f"""
services:
  web: {{calls: [all, by-user, by-cookie, by-query, mended, narrow, thrifty, generous, nobody, banner, old]}}
  one: {{command: {PROGRAM} one}}
  two: {{command: {PROGRAM} two}}
  three: {{command: {PROGRAM} three}}
  bad: {{command: {PROGRAM} bad 500}}
  banner: {{protocol: tcp, command: {TCP_PROGRAM}}}
  old: {{protocol: tcp, command: {TCP_PROGRAM}}}
routes:
  all: [{{to: {{one: 1, two: 1, three: 1}}}}]
  group: [{{to: {{one: 1, two: 1, three: 1}}}}]
  with-bad: [{{to: {{one: 1, two: 1, bad: 1}}}}]
  by-user: [{{to: group.users}}]
  by-cookie: [{{to: group.cookies}}]
  by-query: [{{to: group.queries}}]
  mended: [{{to: with-bad}}]
  narrow: [{{to: group.narrow}}]
  thrifty: [{{to: group.thrifty, retries: {{attempts: 3, on: [5xx]}}}}]
  generous: [{{to: one, retries: {{attempts: 3, on: [5xx]}}}}]
  nobody: [{{to: group.nobody}}]
traffic:
  group:
    subsets:
      users: {{sticky: {{header: x-user}}}}
      cookies: {{sticky: {{cookie: sid, ttl: 1h, path: /}}}}
      queries: {{sticky: {{query: user, table: 251}}}}
      narrow: {{labels: {{app: one}}, pool: {{connections: 1, pending_requests: 1}}}}
      thrifty: {{labels: {{app: one}}, retry_budget: {{percent: 0.1, minimum: 0}}}}
      nobody: {{version: none}}
  with-bad: {{balance: round_robin, outliers: {{errors: 3, ejection_time: 1m, most_ejected: 34}}}}
  banner: {{pool: {{idle_timeout: 500ms}}}}
  old: {{pool: {{maximum_age: 500ms}}}}
"""
USERS = [f"user-{number}" for number in range(30)]


@pytest.fixture(scope="module")
def running() -> Iterator[Mesh]:
    with mesh(TEXT) as running:
        url = running.url("web", "all")
        wait_for(lambda: {_name(ask(url)) for _ in range(20)} >= {"one", "two", "three"})
        yield running


def _name(answer: Answer) -> str:
    return str(answer.told["name"]) if answer.status == 200 else str(answer.status)


def test_without_a_word_requests_are_spread(running):
    assert share(running.url("web", "all"), 30).keys() == {"one", "two", "three"}


def test_a_header_keeps_a_user_at_one_instance(running):
    url = running.url("web", "by-user")
    where = {user: {_name(ask(url, x_user=user)) for _ in range(3)} for user in USERS}
    assert all(len(each) == 1 for each in where.values())
    assert len(set.union(*where.values())) == 3


def test_a_parameter_keeps_a_user_at_one_instance(running):
    url = running.url("web", "by-query")
    where = {user: {_name(ask(url, f"/?user={user}")) for _ in range(3)} for user in USERS}
    assert all(len(each) == 1 for each in where.values())
    assert len(set.union(*where.values())) == 3


def test_who_has_no_cookie_gets_one_and_stays(running):
    url = running.url("web", "by-cookie")
    first = [ask(url) for _ in range(20)]
    assert len({_name(each) for each in first}) > 1
    for each in first[:5]:
        cookie = each.headers["set-cookie"].partition(";")[0]
        assert {_name(ask(url, Cookie=cookie)) for _ in range(4)} == {_name(each)}


def test_an_instance_that_fails_is_left_out(running):
    url = running.url("web", "mended")
    before = Counter(_name(ask(url)) for _ in range(15))
    assert before["500"] in (3, 4)  # its errors in a row, and perhaps one that was under way
    assert Counter(_name(ask(url)) for _ in range(20)).keys() == {"one", "two"}


def test_more_than_the_pool_holds_is_refused_at_once(running):
    url = running.url("web", "narrow")
    assert ask(url).status == 200
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: ask(url, x_wait="1"), range(6)))
    found = Counter(each.status for each in answers)
    assert found.keys() == {200, 503}
    assert found[200] in (2, 3)  # one that waits, and one under way, which each thread of the proxy may have
    assert ask(url).status == 200


def test_a_budget_of_nothing_lets_nobody_try_again(running):
    assert ask(running.url("web", "generous"), x_fail_first="1", x_id="generous").status == 200
    assert ask(running.url("web", "thrifty"), x_fail_first="1", x_id="thrifty").status == 503


def test_a_subset_of_nobody_answers_503(running):
    assert ask(running.url("web", "nobody")).status == 503


@pytest.mark.parametrize("callee", ["banner", "old"])
def test_an_idle_and_an_old_connection_are_closed(running, callee):
    port = int(running.workload("web")["ports"]["callees"][callee])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(5)
        assert connection.recv(64).startswith(b"220")
        before = time.monotonic()
        assert connection.recv(64) == b""
        assert time.monotonic() - before < 3
