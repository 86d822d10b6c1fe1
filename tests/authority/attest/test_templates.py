"""Templates and guards: nothing in a value ever means anything, and the first rule that fits decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority.attest import registration, templates
from handsel.authority.attest.selectors import fits, misfit, of_claims
from handsel.authority.model import ALL_SERVICES, Domain
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import Refused
from handsel.model import placeholders
from handsel.model.faults import NAME
from tests.authority.attest.world import EMOJI, WEB, rule
from tests.support import TRUST_DOMAIN

DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB, "emoji": EMOJI}, profiles(Lifetimes()))

hostile = st.text("abz09-./*{}~%\\$\n\0é ", max_size=12) | st.sampled_from(
    ["..", ".", "*", "**", "{b}", "{", "a/b", "../web", "web\n", "\\1", "\\g<0>", "%s", "{0}", "a" * 64, "", "ＷＥＢ"]
)


@given(hostile, st.sampled_from(["{a}", "x-{a}", "{a}-x", "{a}{a}", "{a}.x"]))
def test_a_value_gives_a_name_with_itself_in_it_or_nothing(value, template):
    try:
        (given_name,) = templates.services(template, {"a": (value,), "b": ("secret",)})
    except Refused:
        return
    assert NAME.fullmatch(given_name)
    assert given_name == template.replace("{a}", value)
    assert "secret" not in given_name


@given(hostile, hostile)
def test_two_values_side_by_side_cannot_be_mixed_up(one, other):
    """`x-y`, `z` and `x`, `y-z` would give the same name."""
    try:
        (name,) = templates.services("{a}-{b}", {"a": (one,), "b": (other,)})
    except Refused:
        return
    assert name.split("-") == [one, other]


def test_a_dash_beside_another_placeholder_is_refused_and_alone_is_not():
    selectors = {"a": ("x-y",), "b": ("z",)}
    assert templates.services("{a}", selectors) == ("x-y",)
    assert templates.services("{b}-{b}", selectors) == ("z-z",)
    for template in ("{a}-{b}", "{b}{b}{a}", "{b}x{a}"):
        with pytest.raises(Refused):
            templates.services(template, selectors)
    assert templates.services("{a}-{b}", {"a": ("x",), "b": ("z",)}) == ("x-z",)


@given(hostile, hostile)
def test_an_identity_has_the_segments_of_its_template(one, other):
    try:
        (identity,) = templates.identities(
            "spiffe://{trust_domain}/ns/{a}/sa/{b}", {"a": (one,), "b": (other,)}, TRUST_DOMAIN
        )
    except Refused:
        return
    assert identity.path.split("/") == ["", "ns", one, "sa", other]
    assert not identity.is_reserved


@pytest.mark.parametrize(
    "template",
    ["spiffe://{trust_domain}/{a}/server", "spiffe://other.internal/ns/{a}", "https://{trust_domain}/{a}", "{a}", ""],
)
def test_an_identity_that_is_no_workload_of_ours_is_refused(template):
    with pytest.raises(Refused):
        templates.identities(template, {"a": ("handsel",)}, TRUST_DOMAIN)


def test_a_value_cannot_stand_for_the_trust_domain():
    selectors = {"trust_domain": ("other.internal",), "a": ("web",)}
    (identity,) = templates.identities("spiffe://{trust_domain}/ns/default/sa/{a}", selectors, TRUST_DOMAIN)
    assert identity == WEB


@pytest.mark.parametrize("template", ["{", "}", "{a", "a}", "{a}}", "{{a}}", "{a b}", "{}"])
def test_a_brace_that_belongs_to_no_placeholder_is_refused(template):
    with pytest.raises(Refused):
        templates.services(template, {"a": ("web",)})
    assert placeholders.fault_of(template)


def test_each_of_several_values_gives_a_service_and_only_alone():
    assert templates.services("{a}-x", {"a": ("web", "emoji", "web")}) == ("web-x", "emoji-x")
    with pytest.raises(Refused, match="several values"):
        templates.services("{a}-{b}", {"a": ("web", "emoji"), "b": ("x",)})
    with pytest.raises(Refused, match="there is none"):
        templates.services("{c}", {"a": ("web",)})


@pytest.mark.parametrize(
    ("pattern", "value", "good"),
    [
        ("acme/*", "acme/web", True), ("acme/*", "acme/web/x", False), ("acme/*", "xacme/web", False),
        ("acme/*", "acme/web\n", True), ("acme/**", "acme/web/x", True), ("*", "", True), ("*", "a/b", False),
        ("a.c", "abc", False), ("[a]", "[a]", True), ("[a]", "a", False), ("refs/heads/main", "refs/heads/main", True),
        ("refs/heads/main", "refs/heads/main2", False), ("a?", "ab", False), ("", "", True), ("", "x", False),
    ],
)  # fmt: skip
def test_a_star_is_anything_without_a_slash(pattern, value, good):
    assert fits(pattern, value) == good


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_pattern_without_a_star_fits_itself_only(pattern, value):
    plain = pattern.replace("*", "")
    assert fits(plain, value) == (plain == value)


def test_every_guard_must_fit_and_what_is_missing_fits_nothing():
    selectors = {"repository": ("acme/web",), "groups": ("dev", "ops")}
    assert misfit({}, selectors) == ""
    assert misfit({"repository": ("acme/*",), "groups": ("ops",)}, selectors) == ""
    assert "groups 'dev' or 'ops' does not fit 'admin'" in misfit({"groups": ("admin",)}, selectors)
    assert misfit({"repository": ("acme/*",), "environment": ("**",)}, selectors) == "there is no environment"


def test_claims_become_selectors():
    claims = {
        "repository": "acme/web", "run": 7, "ok": True, "groups": ["a", 1, None, {"x": 1}], "none": None, "half": 0.5,
        "project": {"path": "a/b", "deep": {"deeper": {"deepest": {"too": {"far": "x"}}}}}, "ref_name": "own",
        "ref": "refs/heads/main",
    }  # fmt: skip
    found = of_claims(claims)
    assert found["repository_name"] == ("web",)
    assert (found["run"], found["ok"], found["groups"]) == (("7",), ("true",), ("a", "1"))
    assert (found["project.path"], found["project.path_name"]) == (("a/b",), ("b",))
    assert found["ref_name"] == ("own",), "what a token says is not replaced"
    assert not {"none", "half"} & found.keys()
    assert not any("far" in name for name in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_any_claims_become_few_and_short_selectors(value):
    found = of_claims({"claim": value, "long": "x" * 5000, **{f"c{i}": "a/b" for i in range(200)}})
    assert len(found) <= 200
    assert all(len(text) <= 1024 for values in found.values() for text in values)


SELECTORS = {"repository_name": ("web",), "repository": ("acme/web",), "ref": ("refs/heads/main",)}


def test_the_first_rule_that_fits_decides_and_is_named():
    rules = (
        rule("x509pop", services=("emoji",)),
        rule("oidc", name="tags", when={"ref": ("refs/tags/*",)}, services=("emoji",)),
        rule("oidc", name="main", when={"ref": ("refs/heads/main",)}, services=("{repository_name}",)),
        rule("oidc", name="rest", services=("emoji",)),
    )
    verdicts = registration.preview(rules, "oidc", SELECTORS, DOMAIN)
    assert [(each.rule, each.services) for each in verdicts] == [("tags", ()), ("main", ("web",))]
    assert "refs/heads/main" in verdicts[0].reason


def test_a_rule_that_fits_and_gives_nothing_decides_too():
    """Else a host whose service is not there would fall through to a rule that is meant for others."""
    rules = (rule("oidc", name="one", services=("{ref}",)), rule("oidc", name="rest", services=("emoji",)))
    (verdict,) = registration.preview(rules, "oidc", SELECTORS, DOMAIN)
    assert not verdict.services
    assert "cannot be part of a name" in verdict.reason


@pytest.mark.parametrize(
    ("changes", "services"),
    [
        ({"services": ("*",)}, ALL_SERVICES),
        ({"services": ("web", "{repository_name}", "emoji")}, ("web", "emoji")),
        ({"services": (), "identities": ("spiffe://{trust_domain}/ns/default/sa/{repository_name}",)}, ("web",)),
        ({"services": ("nothing",)}, "no service 'nothing'"),
        ({"services": (), "identities": ("spiffe://{trust_domain}/ns/other/sa/web",)}, "no service of the mesh"),
    ],
)
def test_what_a_rule_gives_is_of_the_mesh(changes, services):
    wanted = rule("oidc", **changes)
    if isinstance(services, tuple):
        assert registration.services_of(wanted, SELECTORS, DOMAIN) == services
    else:
        with pytest.raises(Refused, match=services):
            registration.services_of(wanted, SELECTORS, DOMAIN)


def test_no_value_means_every_service():
    with pytest.raises(Refused):
        registration.services_of(rule("oidc", services=("{a}",)), {"a": ("*",)}, DOMAIN)


async def test_without_a_rule_nobody_joins_by_evidence(doors):
    from handsel.link.joining import Evidence

    with pytest.raises(Refused, match="no rule registers hosts by oidc") as caught:
        await doors.join(doors.way("oidc", lambda _: Evidence(token="a.b.c")))
    assert "registration" in caught.value.next_step
    with pytest.raises(Refused, match="there is no attestor 'magic'"):
        await doors.join(doors.way("magic", lambda _: Evidence()))
