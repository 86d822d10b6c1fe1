"""Rules that never take a request are found, and only those: held to brute force over short paths."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.mesh.balancer.mapping import rules
from handsel.mesh.balancer.shadows import Effort, covered, never_taken
from handsel.model.balancer import Application, Mapping

APPS = (Application("a"), Application("b"))


def _never(*inputs: str, names: tuple[str, ...] = (), strict: bool = False) -> dict[int, tuple[int, ...]]:
    said = [each.split(" ") for each in inputs]
    mappings = [Mapping(each[0], each[1] if len(each) > 1 else "a", strict=strict) for each in said]
    return never_taken(rules(mappings, APPS, names))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (("/", "/api/"), {2: (1,)}),
        (("/api/", "/"), {}),
        (("/foo", "/foobar/x"), {2: (1,)}),
        (("/{x}/", "/api/v1"), {2: (1,)}),
        (("/{x}/", "/api"), {}),
        (("/{app} {app}", "/a/x"), {2: (1,)}),
        (("/api/{x}/y", "/api/z", "/api/"), {}),
        (("/a", "/{x}/", "/", "/b/c"), {4: (2,)}),
        (("/{x}-{y}/", "/a-b/c", "/a/b"), {2: (1,)}),
    ],
)
def test_what_comes_too_late_is_found(inputs: tuple[str, ...], found: dict[int, tuple[int, ...]]):
    assert _never(*inputs) == found


def test_strict_rules_leave_the_rest_to_others():
    assert _never("/foo", "/foobar", strict=True) == {}
    assert _never("/foo", "/foo/bar", strict=True) == {2: (1,)}


def test_several_rules_together_may_take_all():
    mappings = [Mapping("/x", "a", strict=True), Mapping("/x{v}", "a"), Mapping("/x", "a")]
    assert never_taken(rules(mappings, APPS, ())) == {3: (1, 2)}
    assert never_taken(rules(mappings[1:], APPS, ())) == {}


def test_hosts_count():
    names = ("*.x.test",)
    assert _never("/ {subdomain}", "/b b", names=names) == {}, "other hosts are left to the second"
    assert _never("/ a", "/ {subdomain}", names=names) == {2: (1,)}
    assert 2 in _never("/a a", "/ {subdomain}"), "no name has a subdomain"


def test_what_would_take_too_long_is_not_said():
    inputs = [f"/{{a}}-{number}-{{b}}/x/{{c}}/e{number}" for number in range(200)]
    assert _never("/", *inputs) == dict.fromkeys(range(2, 202), (1,))
    assert _never(*inputs, "/") == {}


inputs = st.lists(st.sampled_from(["a", "/", "{v}", "b"]), min_size=0, max_size=4).map(
    lambda parts: "/" + "".join(part for part, after in itertools.zip_longest(parts, parts[1:]) if part != after)
)


@settings(max_examples=150)
@given(st.lists(st.tuples(inputs.filter(lambda each: each.count("{") < 2), st.booleans()), min_size=2, max_size=4))
def test_as_trying_every_short_path_says(drawn: list[tuple[str, bool]]):
    made = rules([Mapping(path, "a", strict=strict) for path, strict in drawn], APPS, ())
    *before, last = made
    paths = ["/" + "".join(each) for length in range(6) for each in itertools.product("/abx", repeat=length)]
    alone = [path for path in paths if last.rest(path) is not None and all(each.rest(path) is None for each in before)]
    assert covered(last, before, Effort()) == (not alone), alone[:3]
