"""What fits a condition, and which rules leave nothing to those after them; the patterns that Envoy takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.mesh.ir import Route
from handsel.mesh.router import Request, route
from handsel.model.conditions import contradictory, fits, unreachable
from handsel.model.re2 import check_pattern, compiled
from handsel.model.routing import Compare, RequestMatch, Text
from tests.mesh.traffic import drawing


def _path(compare: Compare, value: str, *, ignore_case: bool = False) -> RequestMatch:
    return RequestMatch(path=Text(compare, value, ignore_case))


def _rules(*matches: RequestMatch) -> list[Route]:
    return [Route(matches=(each,)) for each in matches]


EVERYTHING = RequestMatch()


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (EVERYTHING, _path(Compare.EXACT, "/a")),
        (_path(Compare.PREFIX, "/"), EVERYTHING),
        (_path(Compare.PREFIX, "/a"), _path(Compare.SUBPATH, "/ab")),
        (_path(Compare.SUBPATH, "/a"), _path(Compare.EXACT, "/a/b")),
        (_path(Compare.SUBPATH, "/a"), _path(Compare.PREFIX, "/a/")),
        (_path(Compare.PREFIX, "/a", ignore_case=True), _path(Compare.EXACT, "/A")),
        (_path(Compare.REGEX, "/[a-z]+"), _path(Compare.EXACT, "/abc")),
        (
            RequestMatch(headers=(("a", Text(Compare.PRESENT)),)),
            RequestMatch(headers=(("a", Text(Compare.EXACT, "1")),)),
        ),
        (RequestMatch(method=Text(Compare.REGEX, "GET|PUT")), RequestMatch(method=Text(Compare.EXACT, "GET"))),
    ],
)
def test_a_narrower_condition_after_a_wider_one_gets_nothing(earlier, later):
    assert unreachable(_rules(earlier, later)) == {1: 0}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (_path(Compare.EXACT, "/a"), EVERYTHING),
        (_path(Compare.SUBPATH, "/a"), _path(Compare.PREFIX, "/a")),
        (_path(Compare.EXACT, "/a"), _path(Compare.EXACT, "/a", ignore_case=True)),
        (RequestMatch(headers=(("a", Text(Compare.PRESENT)),)), RequestMatch(headers=(("b", Text(Compare.PRESENT)),))),
        (RequestMatch(without_headers=(("a", Text(Compare.PRESENT)),)), EVERYTHING),
        (RequestMatch(port=80), EVERYTHING),
        (RequestMatch(source_namespace="a"), RequestMatch(source_namespace="b")),
        (RequestMatch(gateways=("front",)), EVERYTHING),
    ],
)
def test_what_leaves_something_takes_nothing_away(earlier, later):
    assert unreachable(_rules(earlier, later)) == {}


def test_a_rule_is_lost_only_when_all_of_its_conditions_are():
    first, second, third = (_path(Compare.EXACT, each) for each in ("/a", "/b", "/c"))
    assert unreachable([Route(matches=(first,)), Route(matches=(second,)), Route(matches=(second, first))]) == {2: 1}
    assert unreachable([Route(matches=(first,)), Route(matches=(third, first))]) == {}


@given(drawing.rules, st.lists(drawing.requests, max_size=20))
def test_a_rule_that_is_said_to_get_no_request_gets_none(conditions, requests):
    rules = [Route(matches=each) for each in conditions]
    lost = unreachable(rules)
    assert all(route(rules, each).rule not in lost for each in requests)


@given(drawing.matches, drawing.requests)
def test_a_condition_that_contradicts_itself_fits_nothing(match, request):
    if contradictory(match):
        assert route([Route(matches=(match,))], request).rule is None


def test_the_router_says_why_a_rule_does_not_take_a_request():
    rules = _rules(
        RequestMatch(path=Text(Compare.SUBPATH, "/v1")),
        RequestMatch(headers=(("x-a", Text(Compare.EXACT, "1")),)),
        RequestMatch(query=(("v", Text(Compare.PREFIX, "2")),)),
        RequestMatch(without_headers=(("x-b", Text(Compare.PRESENT)),)),
        RequestMatch(source_labels=(("app", "web"),)),
        RequestMatch(port=81),
        EVERYTHING,
    )
    verdict = route(rules, Request("/v10?v=1", headers={"x-b": ""}))
    assert verdict.rule == 6
    assert verdict.refused == (
        ("the path is '/v10', not at or below '/v1'",),
        ("there is no header x-a",),
        ("the parameter v is '1', not starting with '2'",),
        ("the header x-b is there",),
        ("the caller has not the label app: web",),
        ("the port is 80, not 81",),
    )


@pytest.mark.parametrize(
    "pattern",
    ["a", "[a-z]{1,63}", r"\d+(\.\d+)?", "(?i)a", "(?P<n>a)", r"\Qa+\E", r"\pL+", "[[:alpha:]]", r"\z", "(a{10}){100}"],
)
def test_a_pattern_of_re2_is_taken(pattern):
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    ["", "(", "[a", "a" * 1025, "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", "(?P=a)", "(?>a)", "a++", "a{1001}", "(a{100}){11}"],
)  # fmt: skip
def test_what_envoy_would_refuse_is_not(pattern):
    with pytest.raises(ValueError, match="regex"):
        check_pattern(pattern)


def test_classes_of_re2_are_read_as_it_means_them():
    assert compiled("[[:digit:]a]+").fullmatch("1a2")
    assert compiled(r"\Qa.b\E").fullmatch("a.b")
    assert not compiled(r"\Qa.b\E").fullmatch("axb")
    assert fits(Text(Compare.REGEX, "a|ab"), "ab")
