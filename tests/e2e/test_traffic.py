"""Rules for requests through real proxies: which rule takes a request, and what becomes of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.asking import ask, share
from tests.e2e.mesh_process import Mesh, fetch, mesh, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'tells_all.py'}"
TEXT = f"""
services:
  web: {{calls: [reviews, shop, v1]}}
  stranger: {{calls: [v2, shop]}}
  v1: {{command: {PROGRAM} v1, labels: {{version: one}}}}
  v2: {{command: {PROGRAM} v2, labels: {{version: two}}}}
  copy: {{command: {PROGRAM} copy}}
routes:
  reviews:
    - {{when: {{headers: {{x-api-version: "2"}}}}, to: v2}}
    - {{when: {{path: /v1}}, to: v1, rewrite: {{path: /}}}}
    - {{when: {{path: /v2}}, to: v2, rewrite: {{path: /new}}}}
    - {{when: {{path: /none}}, to: {{v1: 0, v2: 3}}}}
    - {{when: {{path: /part}}, to: reviews.two}}
    - {{to: {{v1: 50, v2: 50}}}}
  shop:
    - {{when: {{path: {{exact: /exact}}}}, response: {{status: 200, body: exact}}}}
    - {{when: {{path: {{prefix: /pre}}}}, response: {{status: 200, body: prefix}}}}
    - {{when: {{path: {{regex: "/[0-9]{{1,20}}/[a-z]{{1,60}}"}}}}, response: {{status: 200, body: regex}}}}
    - {{when: {{path: /from, from: stranger}}, response: {{status: 200, body: stranger}}}}
    - {{when: [{{path: /m, method: [PUT, POST]}}, {{path: /m, method: PATCH}}], response: {{status: 200, body: method}}}}
    - {{when: {{path: /q, query: {{v: "2"}}}}, response: {{status: 200, body: query}}}}
    - {{when: {{path: /no, without_headers: {{x-a: "1"}}}}, response: {{status: 200, body: without}}}}
    - {{when: {{path: /at, authority: {{prefix: next.}}, scheme: http, port: 80}}, response: {{status: 200, body: host}}}}
    - {{when: {{path: /old}}, redirect: {{prefix: /, authority: new.example, scheme: https, code: 308}}}}
    - {{when: {{path: /slow}}, to: v1, fault: {{delay: {{for: 700ms}}}}}}
    - {{when: {{path: /broken}}, to: v1, fault: {{abort: {{status: 418}}}}}}
    - {{when: {{path: /half}}, to: v1, fault: {{abort: {{status: 418, percent: 50}}}}}}
    - {{when: {{path: /headers}}, to: {{v1: {{headers: {{request: {{set: {{x-way: 100%}}}}}}}}}},
       headers: {{request: {{set: {{x-set: new}}, add: {{x-add: more}}, remove: [x-gone]}},
                 response: {{set: {{x-served-by: hidden}}}}}}}}
    - {{when: {{path: /sub}}, to: v1, rewrite: {{regex: {{pattern: "^/sub/(.*)$", substitution: '/\\1/end'}}, authority: other.example}}}}
    - {{when: {{path: /copied}}, to: v1, mirror: copy}}
    - {{when: {{path: /cors}}, to: v1, cors: {{origins: ["https://a.example"], methods: [GET, PUT], max_age: 1h}}}}
    - {{when: {{path: /limit}}, to: v1, timeout: 300ms}}
    - {{when: {{path: /again}}, to: v1, retries: {{attempts: 3, on: [5xx]}}}}
    - {{when: {{path: /tries}}, to: v1, retries: {{attempts: 3, on: ["503"], per_try: 200ms}}, timeout: 2s}}
    - {{when: {{path: /once}}, to: v1}}
traffic:
  reviews: {{subsets: {{two: {{version: two}}}}}}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Mesh]:
    with mesh(TEXT) as running:
        for path in ("/none", "/v1"):
            wait_for(lambda path=path: ask(running.url("web", "reviews"), path).status == 200)
        yield running


@pytest.fixture(scope="module")
def reviews(running) -> str:
    return running.url("web", "reviews")


@pytest.fixture(scope="module")
def shop(running) -> str:
    return running.url("web", "shop")


def test_a_header_chooses(reviews):
    assert share(reviews, 5, x_api_version="2") == {"v2": 5}


def test_weights_share_and_one_of_zero_gets_nothing(reviews):
    found = share(reviews, 60)
    assert found.keys() == {"v1", "v2"}
    assert min(found.values()) > 10
    assert {ask(reviews, "/none").told["name"] for _ in range(10)} == {"v2"}


def test_a_subset_is_the_workloads_with_its_labels(reviews):
    assert {ask(reviews, "/part").told["name"] for _ in range(10)} == {"v2"}


@pytest.mark.parametrize(
    ("path", "name", "seen"),
    [
        ("/v1/x?y=1", "v1", "/x?y=1"), ("/v1", "v1", "/"), ("/v1?y=1", "v1", "/?y=1"),
        ("/v2/x", "v2", "/new/x"), ("/v2", "v2", "/new"),
    ],
)  # fmt: skip
def test_a_path_is_rewritten(reviews, path, name, seen):
    told = ask(reviews, path).told
    assert (told["name"], told["path"]) == (name, seen)


def test_a_path_below_is_not_one_that_begins_alike(reviews):
    assert ask(reviews, "/v10").told["path"] == "/v10"


def test_the_same_rules_hold_by_name_at_the_proxy_port(running):
    proxy = f"http://127.0.0.1:{running.workload('web')['ports']['proxy']}"
    assert fetch("http://shop/exact", proxy) == (200, "exact")
    assert fetch("http://reviews/v1/x", proxy)[0] == 200
    assert fetch("http://v2/", proxy)[0] == 403  # web reaches it by rules only


@pytest.mark.parametrize(
    ("said", "fits", "fits_not"),
    [
        ("exact", {"path": "/exact"}, {"path": "/exact/x"}),
        ("prefix", {"path": "/prefer"}, {"path": "/pr"}),
        ("regex", {"path": "/12/ab"}, {"path": "/12/ab/"}),
        ("method", {"path": "/m", "method": "POST"}, {"path": "/m"}),
        ("method", {"path": "/m", "method": "PATCH"}, {"path": "/m", "method": "DELETE"}),
        ("query", {"path": "/q?v=2"}, {"path": "/q?v=3"}),
        ("host", {"path": "/at", "Host": "next.shop"}, {"path": "/at", "Host": "shop"}),
        ("without", {"path": "/no"}, {"path": "/no", "x_a": "1"}),
        ("without", {"path": "/no", "x_a": "2"}, {"path": "/nobody"}),
    ],
)
def test_a_condition_fits_or_not(shop, said, fits, fits_not):
    assert (ask(shop, **fits).status, ask(shop, **fits).body) == (200, said)
    assert ask(shop, **fits_not).status == 404


def test_who_sends_it_decides(running, shop):
    assert ask(shop, "/from").status == 404
    assert ask(running.url("stranger", "shop"), "/from").body == "stranger"


def test_a_redirect_says_where(shop):
    answer = ask(shop, "/old/x?y=1")
    assert (answer.status, answer.headers["location"]) == (308, "https://new.example/x?y=1")


def test_faults_on_purpose(shop):
    before = time.monotonic()
    assert ask(shop, "/slow").status == 200
    assert time.monotonic() - before > 0.65
    assert {ask(shop, "/broken").status for _ in range(5)} == {418}
    assert {ask(shop, "/half").status for _ in range(40)} == {200, 418}


def test_headers_change_on_their_way_and_back(shop):
    answer = ask(shop, "/headers", x_set="old", x_add="one", x_gone="1")
    headers = answer.told["headers"]
    assert (headers["x-set"], headers["x-way"], "x-gone" in headers) == ("new", "100%", False)
    assert headers["x-add"] == "more"  # the last of two lines
    assert answer.headers["x-served-by"] == "hidden"


def test_a_pattern_is_replaced_and_the_host_too(shop):
    told = ask(shop, "/sub/a/b?c=1").told
    assert (told["path"], told["headers"]["host"]) == ("/a/b/end?c=1", "other.example")


def test_a_copy_is_sent_and_nobody_waits_for_it(running, shop):
    port = running.workload("copy")["ports"]["application"]
    assert ask(shop, "/copied").told["name"] == "v1"
    wait_for(lambda: ask(f"http://127.0.0.1:{port}", "/seen").told["seen"].get("/copied") == 1)


def test_cross_origin_requests(shop):
    preflight = {"method": "OPTIONS", "Access_Control_Request_Method": "PUT"}
    allowed = ask(shop, "/cors", Origin="https://a.example", **preflight)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://a.example")
    assert (allowed.headers["access-control-allow-methods"], allowed.headers["access-control-max-age"]) == (
        "GET,PUT",
        "3600",
    )
    assert "access-control-allow-origin" not in ask(shop, "/cors", Origin="https://b.example", **preflight).headers


def test_a_timeout_ends_a_request(shop):
    assert ask(shop, "/limit", x_wait="0.05").status == 200
    before = time.monotonic()
    assert ask(shop, "/limit", x_wait="3").status == 504
    assert time.monotonic() - before < 2


def test_what_may_have_been_executed_is_tried_again_only_when_that_was_said(shop):
    again = ask(shop, "/again", x_fail_first="2", x_id="again")
    assert (again.status, again.told["count"]) == (200, 3)
    assert ask(shop, "/tries", x_fail_first="3", x_id="tries").status == 200
    once = ask(shop, "/once", x_fail_first="1", x_id="once")
    assert (once.status, once.told["count"]) == (503, 1)
    assert ask(shop, "/once", x_id="once").told["count"] == 2


def test_what_a_program_writes_of_retries_counts_for_nothing(shop):
    """Envoy has headers for it, which it could believe of whoever says that he is of an internal network."""
    headers = {"x_forwarded_for": "10.0.0.1", "x_envoy_retry_on": "5xx", "x_envoy_max_retries": "3"}
    answer = ask(shop, "/once", x_fail_first="1", x_id="header", **headers)
    assert (answer.status, answer.told["count"]) == (503, 1)
