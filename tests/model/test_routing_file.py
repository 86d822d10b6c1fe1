"""`routes:` in the mesh file: what is written, what it means, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from handsel.model.graph import Mesh
from handsel.model.routing import (
    Compare,
    ConnectionMatch,
    ConnectionRule,
    Fault,
    Mirror,
    Redirect,
    RequestMatch,
    Response,
    Retry,
    Rewrite,
    Target,
    Text,
)
from tests.support import read_mesh

SERVICES = """
services:
  web: {calls: [reviews, reviews-v1, store]}
  reviews-v1: {labels: {version: v1}}
  reviews-v2: {protocol: grpc}
  other: {}
  store-a: {protocol: tcp}
external:
  bank: {host: bank.example.com}
"""


def _read(routes: str, *, store: str = "[{to: store-a}]") -> Mesh:
    return read_mesh(f"{SERVICES}\nroutes:\n  store: {store}\n  {routes}\n")


def _rules(rules: str):
    (found,) = (each for each in _read(f"reviews: {rules}").routes if each.name == "reviews")
    return found.http


def _rule(rule: str):
    (found,) = _rules(f"[{rule}]")
    return found


def _match(when: str) -> RequestMatch:
    (found,) = _rule(f"{{when: {when}, to: reviews-v1}}").matches
    return found


def test_a_new_name_becomes_a_callee_behind_which_all_targets_stand():
    mesh = _read("reviews: [{to: reviews-v1, mirror: other}, {to: {reviews-v2: 1, reviews-v1: 9}}]")
    group = mesh.groups["reviews"]
    assert set(group.services) == {"reviews-v1", "reviews-v2", "other"}
    assert (group.host, group.port) == ("reviews", 80)
    assert mesh.callee("reviews") is group


def test_rules_may_also_be_for_a_service_or_a_third_party():
    mesh = read_mesh("""
services: {web: {calls: [shop, bank]}, shop: {}, next: {}}
external: {bank: {host: bank.example.com}}
routes: {shop: [{to: {shop: 9, next: 1}}], bank: [{when: {path: /new}, to: next}, {to: bank}]}
""")
    assert mesh.groups == {}
    assert [(each.callees, each.hosts) for each in mesh.routes] == [
        (("shop",), ("shop",)),
        (("bank",), ("bank.example.com",)),
    ]


def test_a_rule_has_its_place():
    rules = _rules("\n    - {when: {path: /a}, to: reviews-v1}\n    - {to: reviews-v2}")
    assert [str(each.origin).rpartition(":")[2] for each in rules] == ["14", "15"]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("{path: /v1}", {"path": Text(Compare.SUBPATH, "/v1")}),
        ("{path: /v1/}", {"path": Text(Compare.SUBPATH, "/v1")}),
        ("{path: {exact: /v1, ignore_case: true}}", {"path": Text(Compare.EXACT, "/v1", ignore_case=True)}),
        ("{path: {prefix: /v1}}", {"path": Text(Compare.PREFIX, "/v1")}),
        ("{path: {regex: /v.}}", {"path": Text(Compare.REGEX, "/v.")}),
        ("{method: GET}", {"method": Text(Compare.EXACT, "GET")}),
        ("{method: [GET, HEAD]}", {"method": Text(Compare.REGEX, "GET|HEAD")}),
        ("{headers: {X-Version: 2}}", {"headers": (("x-version", Text(Compare.EXACT, "2")),)}),
        ("{headers: [x-a]}", {"headers": (("x-a", Text(Compare.PRESENT)),)}),
        ("{without_headers: {x-a: {prefix: b}}}", {"without_headers": (("x-a", Text(Compare.PREFIX, "b")),)}),
        ("{query: {v: '2'}}", {"query": (("v", Text(Compare.EXACT, "2")),)}),
        ("{authority: {prefix: a.}}", {"authority": Text(Compare.PREFIX, "a.")}),
        ("{scheme: http, port: 80}", {"scheme": Text(Compare.EXACT, "http"), "port": 80}),
        ("{from: web}", {"source_labels": (("app", "web"),)}),
        ("{from: {labels: {tier: x}, namespace: n}}", {"source_labels": (("tier", "x"),), "source_namespace": "n"}),
    ],
)
def test_a_condition_is_read(written, means):
    assert _match(written) == RequestMatch(**means)


def test_one_of_several_conditions_must_hold():
    rule = _rule("{when: [{path: /a}, {path: /b}], to: reviews-v1}")
    assert [each.path.value for each in rule.matches] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("written", "key", "means"),
    [
        ("to: {reviews-v1: 9, reviews-v2: 1}", "to", (Target("reviews-v1", weight=9), Target("reviews-v2"))),
        ("redirect: {path: /x, code: 302}", "redirect", Redirect(path="/x", code=302)),
        ("redirect: {prefix: /x, port: 81}", "redirect", Redirect(path="/x", port=81, prefix_only=True)),
        ("response: {status: 404, body: no}", "response", Response(404, "no")),
        ("to: reviews-v1, timeout: 0s", "timeout", timedelta(0)),
        (
            "to: reviews-v1, retries: 3",
            "retry",
            Retry(3, ("connect-failure", "refused-stream", "reset-before-request")),
        ),
        (
            "to: reviews-v1, retries: 0",
            "retry",
            Retry(0, ()),
        ),
        (
            "to: reviews-v1, retries: {attempts: 1, on: [5xx, 429], per_try: 1s, other_hosts: false}",
            "retry",
            Retry(1, ("5xx", "429"), timedelta(seconds=1), other_hosts=False),
        ),
        ("to: reviews-v1, rewrite: {authority: a.b}", "rewrite", Rewrite(authority="a.b")),
        (
            r"to: reviews-v1, rewrite: {regex: {pattern: '^/(.)', substitution: '/\1'}}",
            "rewrite",
            Rewrite(pattern="^/(.)", substitution=r"/\1"),
        ),
        (
            "to: reviews-v1, fault: {delay: {for: 1s, percent: 5}, abort: {status: 500}}",
            "fault",
            Fault(timedelta(seconds=1), 5, 500, "", 100),
        ),
        ("to: reviews-v1, mirror: {other: 5}", "mirrors", (Mirror("other", percent=5),)),
    ],
)
def test_what_happens_is_read(written, key, means):
    assert getattr(_rule(f"{{{written}}}"), key) == means


def test_nothing_said_of_retries_and_time_leaves_them_to_us():
    rule = _rule("{to: reviews-v1}")
    assert (rule.retry, rule.timeout) == (None, None)


def test_values_of_headers_are_taken_as_they_are():
    change = _rule("{to: reviews-v1, headers: {request: {set: {X-A: 100%, x-b: 1}}}}").headers.request
    assert change.set == (("x-a", "100%%"), ("x-b", "1"))  # a lone percent sign would be a word of Envoy's


def test_a_path_in_the_place_of_any_path_is_put_before_it():
    for rule in ("{to: reviews-v1, rewrite: {path: /api}}", "{redirect: {prefix: /api}}"):
        (match,) = _rule(rule).matches
        assert match.path == Text(Compare.SUBPATH, "/")


def test_a_third_party_behind_another_name_is_called_by_its_own():
    (target,) = _rule("{to: bank}").to
    assert target.headers.request.set == (("host", "bank.example.com"),)


def test_rules_for_connections_are_told_apart_by_whether_they_have_a_name():
    (store,) = (
        each
        for each in _read(
            "reviews: [{to: reviews-v1}]", store="[{when: {server_name: a.b}, to: store-a}, {to: store-a}]"
        ).routes
        if each.name == "store"
    )
    assert store.http == ()
    assert store.tls == (ConnectionRule((ConnectionMatch(("a.b",)),), (Target("store-a"),)),)
    assert store.tcp == (ConnectionRule((), (Target("store-a"),)),)


def _faults(rules: str) -> str:
    with pytest.raises(InvalidFile) as refused:
        _read(f"reviews: {rules}")
    return "\n".join(f"{each.line}:{each.column} {each.path}: {each.message}" for each in refused.value.faults)


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ("[{to: reviews-v3}]", '13:14 routes.reviews[0].to.reviews-v3: there is no service or external \'reviews-v3\', did you mean "reviews-v'),
        ("[{to: {reviews-v1: 0, other: 0}}]", "to: all weights are 0"),
        ("[{to: {}}]", "to: name at least one target"),
        ("[{to: {reviews-v1: -1}}]", "weight: must be from 0 to 1000000, not -1"),
        ("[{to: store-a}, {to: reviews-v1}]", "takes requests, and these are rules for connections"),
        ("[{to: reviews-v1}, {to: store-a}]", "takes connections, and these are rules for requests"),
        ("[{to: reviews-v1.v9}]", "'reviews-v1' has no subset 'v9' under traffic"),
        ("[]", "there is no rule"),
        ("[{}]", "say one of to, redirect and response, not none"),
        ("[{to: other, redirect: {path: /}}]", "say one of to, redirect and response, not to and redirect"),
        ("[{redirect: {path: /x}, timeout: 1s}]", "nobody is asked where there is a redirect, so timeout has no meaning"),
        ("[{redirect: {code: 301}}]", "this leads back to itself"),
        ("[{redirect: {path: x}}]", "redirect: a path starts with /"),
        ("[{redirect: {path: /x, code: 305}}]", "must be 301, 302, 303, 307 or 308, not 305"),
        ("[{response: {status: 99}}]", "must be from 200 to 599, not 99"),
        ("[{to: other, timeout: 25h}]", "timeout: must be from 0ms to 1d"),
        ("[{to: other, timeout: 5}]", "a duration is a number with a unit"),
        ("[{to: other, timeout: 1s, retries: {per_try: 2s}}]", "one attempt (per_try) may take longer than all of them"),
        ("[{to: other, retries: {on: [5x]}}]", 'nothing is tried again on \'5x\', did you mean "5xx"?'),
        ("[{to: other, retries: {on: []}}]", "nothing would ever be tried again"),
        ("[{to: other, retries: {attempts: 101}}]", "must be from 0 to 100, not 101"),
        ("[{to: other, fault: {abort: {grpc: UNAVAIL}}}]", 'did you mean "UNAVAILABLE"?'),
        ("[{to: other, fault: {abort: {status: 500, grpc: OK}}}]", "say either status or grpc"),
        ("[{to: other, fault: {delay: {for: 1s, percent: 101}}}]", "must be from 0.0001 to 100, not 101"),
        ("[{to: other, cors: {origins: [{present: true}]}}]", "cors: say which origins"),
        ("[{to: other, mirror: nobody}]", "there is no service or external 'nobody'"),
        ("[{to: other, rewrite: {path: /a, regex: {pattern: a, substitution: b}}}]", "say either path or regex"),
        (r"[{to: other, rewrite: {regex: {pattern: a, substitution: '\1'}}}]", "the pattern has no group 1"),
        ("[{to: other, rewrite: {path: '/a?b'}}]", "a path starts with / and has neither ? nor #"),
        ("[{to: other, headers: {request: {set: {host: a}}}}]", "the header 'host' is not changed like this"),
        ("[{to: other, headers: {request: {set: {'a b': a}}}}]", "'a b' is no name of a header"),
        ('[{to: other, headers: {response: {add: {a: "b\\nc"}}}}]', "a header's value is one line"),
        ("[{when: {}, to: other}]", "an empty condition"),
        ("[{when: {path: v1}, to: other}]", "a path starts with /"),
        ("[{when: {path: {exact: /a, prefix: /b}}, to: other}]", "say one of exact, below, prefix and regex, not 2"),
        ("[{when: {path: {regex: '(?=a)'}}, to: other}]", "it knows no (?="),
        ("[{when: {headers: {a: {regex: '('}}}, to: other}]", "not a regex"),
        ("[{when: {headers: {a: true}}, to: other}]", 'write "true"'),
        ("[{when: {headers: {a: {present: false}}}, to: other}]", "says what `without_headers` says"),
        ("[{when: {headers: [a], without_headers: [a]}, to: other}]", "the header 'a' must be there and must not"),
        ("[{when: {hedaers: {a: b}}, to: other}]", 'unknown key, did you mean "headers"?'),
        ("[{when: {method: get}, to: other}]", "'get' is no method: they are in upper case"),
        ("[{when: {server_name: a.b}, to: other}]", "this is for a callee that speaks tcp"),
        ("[{when: {port: 0}, to: other}]", "a port is a number from 1 to 65535"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(rules, fault):
    found = _faults(rules)
    assert fault in found
    assert "routes.reviews" in found
    assert "calls" not in found  # nothing follows from it


def test_a_name_that_nobody_calls_is_a_slip():
    with pytest.raises(InvalidFile, match="nobody calls 'revews', did you mean \"reviews"):
        _read("reviews: [{to: other}]\n  revews: [{to: other}]")


def test_what_only_requests_have_is_refused_for_connections():
    for rule in (
        "{to: store-a, timeout: 1s}",
        "{when: {path: /a}, to: store-a}",
        "{when: {headers: [a]}, to: store-a}",
    ):
        with pytest.raises(InvalidFile, match="is not looked into"):
            _read("reviews: [{to: other}]", store=f"[{rule}]")


def test_a_rule_that_gets_no_request_is_a_finding():
    mesh = _read(
        "reviews:\n    - {when: {path: /a}, to: other}\n    - {when: {path: /a/b}, to: other}\n    - {to: other}"
    )
    assert [(each.code, each.line) for each in mesh.findings] == [("HM-301", 15)]
    assert "the one at line 14 takes all of them" in mesh.findings[0].message
