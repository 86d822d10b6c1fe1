"""Who may have which name: nothing outside the policy, the profile or the chain's constraints is ever signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.acme.problems import Identifier, Problem
from handsel.authority import policy, service
from handsel.authority.acme import orders
from handsel.authority.acme.model import Account, ExternalKey
from handsel.authority.model import Approval, Domain, Issuers, Requester
from handsel.authority.policy import decide, explain
from handsel.authority.profile import DEFAULT, Lifetimes, profiles
from handsel.errors import Refused
from handsel.model.authority import Profile
from handsel.model.name_patterns import KINDS, Pattern
from handsel.model.policy import Rule
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from handsel.pki.secret import Secret
from tests.authority.constrained import constrained
from tests.support import NOW, TRUST_DOMAIN, TestAuthority, read_mesh

KEY = PrivateKey.generate().handle.public_key()
PROFILES = profiles(Lifetimes(), {"payments": Profile("payments", timedelta(minutes=10), acme=True)})
SOMEBODY = Requester("acme", "acc-1")
PAY = Names(dns=("a.pay.internal",))


def _rules(text: str):
    return read_mesh(
        "services: {}\nauthority:\n  profiles: {payments: {}, other: {}}\n  policy:\n" + text
    ).authority.policy


POLICY = _rules("""
  - allow: {dns: ["*.pay.internal"], ip: [10.0.0.0/8]}
    for: {profile: payments, account: [acc-1, acc-2]}
  - deny: {dns: [admin.pay.internal]}
  - allow: {dns: ["**.open.internal"]}
  - deny: {dns: ["**.open.internal"]}
    for: {eab: suspended}
""")


def _decide(name: str, **who):
    kind = "ip" if name[0].isdecimal() else "dns"
    return decide(Names(**{kind: (name,)}), Requester("acme", **who), POLICY)


def test_every_decision_names_the_rule_and_its_line():
    found = _decide("a.pay.internal", account="acc-1", profile="payments")
    assert (found.allowed, found.rule) == (True, POLICY[0])
    assert found.why == "a.pay.internal is allowed by the allow rule at handsel.yaml:6 (*.pay.internal)"
    found = _decide("admin.pay.internal", account="acc-1", profile="payments")
    assert (found.allowed, found.rule) == (False, POLICY[1])
    assert found.why == "admin.pay.internal is denied by the deny rule at handsel.yaml:8 (admin.pay.internal)"


@pytest.mark.parametrize(
    ("name", "who", "allowed"),
    [
        ("a.pay.internal", {"account": "acc-2", "profile": "payments"}, True),
        ("a.pay.internal", {"account": "acc-3", "profile": "payments"}, False),
        ("a.pay.internal", {"account": "acc-1", "profile": "default"}, False),
        ("a.pay.internal", {}, False),
        ("*.pay.internal", {"account": "acc-1", "profile": "payments"}, False),  # it stands for admin.pay.internal too
        ("10.9.9.9", {"account": "acc-1", "profile": "payments"}, True),
        ("11.9.9.9", {"account": "acc-1", "profile": "payments"}, False),
        ("a.b.open.internal", {}, True),
        ("a.b.open.internal", {"eab": "suspended"}, False),
        ("open.internal", {}, False),
    ],
)
def test_all_that_a_rule_says_of_its_requesters_must_hold(name, who, allowed):
    assert _decide(name, **who).allowed == allowed


def test_without_a_policy_what_was_proven_is_allowed_and_with_an_empty_one_nothing_is():
    assert decide(PAY, SOMEBODY, None).allowed
    found = decide(PAY, SOMEBODY, ())
    assert (found.allowed, found.why) == (False, "a.pay.internal is allowed by no rule of the policy")


def test_a_refusal_says_for_whom_there_is_a_rule():
    why = _decide("a.pay.internal", account="acc-9", profile="payments").why
    assert "the allow rule at handsel.yaml:6 is for others (profile payments, account acc-1 or acc-2)" in why


def test_who_says_nothing_of_itself_is_allowed_nothing_special_and_denied_all_that_somebody_is():
    nobody = Requester()
    assert not decide(PAY, nobody, POLICY).allowed
    assert not decide(Names(dns=("a.open.internal",)), nobody, POLICY).allowed
    assert decide(Names(dns=("a.open.internal",)), SOMEBODY, POLICY).allowed


@pytest.mark.parametrize("path", ["/x/../admin", "/./x", "/%2e%2e/x", "/a%2Fb", "/a b", "\\x"])
def test_a_uri_that_can_be_read_in_two_ways_is_refused(path):
    rules = _rules('  - allow: {uri: ["https://a.internal/*"]}\n')
    assert decide(Names(uri=("https://a.internal/x",)), SOMEBODY, rules).allowed
    assert not decide(Names(uri=(f"https://a.internal{path}",)), SOMEBODY, rules).allowed


# What reaches the key

labels = st.sampled_from(["a", "b"])
hosts = st.lists(labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "internal"]))
some_dns = st.one_of(hosts, hosts.map("*.{}".format))
some_ip = st.integers(0, 15).map(lambda n: f"10.0.{n >> 2}.{n & 3}")
some_names = st.builds(
    Names, st.lists(some_dns, max_size=2).map(tuple), st.lists(some_ip, max_size=2).map(tuple)
).filter(bool)
dns_patterns = st.builds("{}{}".format, st.sampled_from(["", "*.", "**."]), hosts).map(lambda t: Pattern("dns", t))
ip_patterns = st.sampled_from(["10.0.0.0/8", "10.0.1.0/24", "10.0.2.1", "0.0.0.0/0"]).map(lambda t: Pattern("ip", t))
patterns = st.lists(st.one_of(dns_patterns, ip_patterns), min_size=1, max_size=3).map(tuple)
accounts = st.lists(st.sampled_from(["acc-1", "acc-2"]), max_size=1).map(tuple)
rules = st.builds(Rule, st.booleans(), patterns, st.just("handsel.yaml:1"), accounts=accounts)
trees = st.fixed_dictionaries(
    {}, optional={"dns": st.lists(hosts, max_size=1), "ip": st.lists(st.sampled_from(["10.0.0.0/22", "10.0.1.0/24"]), max_size=1)}
)  # fmt: skip


def _hosts_of(name: str) -> set[str]:
    """All that a wildcard stands for, in the little world of these tests."""
    return {name.replace("*", label, 1) for label in ("a", "b")} if "*" in name else {name}


def _may_have(kind: str, name: str, account: str, policy_rules, permitted, excluded) -> bool:
    """The same question, answered the long way: for each single name, by the words of the reference."""

    def matches(rule: Rule, one: str) -> bool:
        return (not rule.accounts or account in rule.accounts) and any(
            each.kind == kind and each.covers(one) for each in rule.names
        )

    def below(base: str, one: str) -> bool:
        if kind == "dns":
            return one == base or one.endswith(f".{base}")
        return Pattern("ip", base).covers(one)

    for one in _hosts_of(name):
        if any(below(base, one) for base in excluded.get(kind, [])):
            return False
        if permitted.get(kind) and not any(below(base, one) for base in permitted[kind]):
            return False
        if policy_rules is None:
            continue
        if any(not rule.allows and matches(rule, one) for rule in policy_rules):
            return False
        if not any(rule.allows and matches(rule, one) for rule in policy_rules):
            return False
    return True


@given(some_names, st.none() | st.lists(rules, max_size=4).map(tuple), trees, trees, st.booleans(), st.sampled_from(["acc-1", "acc-2", "acc-3"]))  # fmt: skip
def test_nothing_outside_policy_or_constraints_is_ever_intended(
    authority, names, policy_rules, permitted, excluded, at_root, account
):
    issuer = authority.issuer
    if any(permitted.values()) or any(excluded.values()):
        issuer = constrained(authority, permitted=permitted, excluded=excluded, at_root=at_root)
    domain = Domain(TRUST_DOMAIN, {}, PROFILES, policy_rules)
    profile = PROFILES[DEFAULT]
    approval = Approval(names, None, KEY, profile, profile.lifetime, f"account/{account}", Requester("acme", account))
    try:
        (draft,) = service.intend([approval], domain, Issuers.only(issuer), NOW).drafts
    except Refused:
        signed = None
    else:
        signed = draft.draft.names
    fine = all(_may_have(kind, name, account, policy_rules, permitted, excluded) for kind, name in names)
    # What is signed may all be had. A wildcard that only several rules together allow is refused: the stricter side.
    if signed is not None:
        assert fine
        assert signed == names
    elif fine:
        assert any("*" in name for name in names.dns)


@given(some_names, st.lists(rules, max_size=4).map(tuple))
def test_the_early_refusal_is_the_late_one(authority, names, policy_rules):
    """What newOrder refuses, finalize would refuse, and the other way round."""
    domain = Domain(TRUST_DOMAIN, {}, PROFILES, policy_rules)
    profile = PROFILES[DEFAULT]
    early = policy.refused(names, SOMEBODY, profile, TRUST_DOMAIN, policy_rules, authority.issuer)
    approval = Approval(names, None, KEY, profile, profile.lifetime, "account/acc-1", SOMEBODY)
    if not early:
        assert service.intend([approval], domain, authority.issuers, NOW)
        return
    with pytest.raises(Refused) as caught:
        service.intend([approval], domain, authority.issuers, NOW)
    assert str(caught.value) == early[0].why


def _intend(authority: TestAuthority, names: Names, profile: Profile, requester: Requester = SOMEBODY, rules=None):
    domain = Domain(TRUST_DOMAIN, {}, profiles(Lifetimes(), {profile.name: profile}), rules)
    approval = Approval(names, None, KEY, profile, profile.lifetime, "account/acc-1", requester)
    return service.intend([approval], domain, authority.issuers, NOW)


def test_a_profile_takes_only_names_that_its_patterns_cover(authority):
    profile = replace(PROFILES["payments"], names=("*.pay.internal", "10.0.0.0/8"))
    assert _intend(authority, Names(dns=("a.pay.internal",), ip=("10.1.1.1",)), profile)
    for other in (Names(dns=("a.internal",)), Names(ip=("11.0.0.1",)), Names(dns=("a.pay.internal", "b.internal"))):
        with pytest.raises(Refused, match="outside what the profile 'payments' takes"):
            _intend(authority, other, profile)


def test_an_external_account_key_limits_its_account(authority):
    limited = Requester("acme", "acc-1", "key-1", limits=("*.team.internal",))
    assert _intend(authority, Names(dns=("a.team.internal",)), PROFILES[DEFAULT], limited)
    with pytest.raises(Refused, match="outside what the external account key takes"):
        _intend(authority, Names(dns=("a.other.internal",)), PROFILES[DEFAULT], limited)


@pytest.mark.parametrize("allow", [None, ("**",)])
def test_no_policy_gives_away_the_names_of_handsel_itself(authority, allow):
    rules = None if allow is None else (Rule(True, tuple(Pattern("dns", each) for each in allow), "x:1"),)
    server = TRUST_DOMAIN.server_dns
    assert _intend(authority, Names(dns=("a.test.internal",)), PROFILES[DEFAULT], rules=rules)
    for name in (server, f"*.{server.partition('.')[2]}"):
        with pytest.raises(Refused, match="handsel's own servers"):
            _intend(authority, Names(dns=(name,)), PROFILES[DEFAULT], rules=rules)
    for uri in (str(TRUST_DOMAIN.server), "SPIFFE://test.internal/ns/a/sa/b"):
        with pytest.raises(Refused, match="SPIFFE ID"):
            _intend(authority, Names(uri=(uri,)), PROFILES[DEFAULT])


def test_the_meshs_own_certificates_are_decided_by_the_mesh_and_still_by_the_constraints(authority):
    web = TRUST_DOMAIN.workload("default", "web")
    domain = Domain(TRUST_DOMAIN, {"web": web}, PROFILES, ())
    profile = PROFILES["workload"]
    approval = Approval(Names(uri=(str(web),)), web, KEY, profile, profile.lifetime, "agent/a1")
    assert service.intend([approval], domain, authority.issuers, NOW)
    # A profile of the mesh's without an identity of the mesh is no way round the policy.
    without = replace(approval, names=PAY, identity=None)
    with pytest.raises(Refused, match="no rule of the policy"):
        service.intend([without], domain, authority.issuers, NOW)
    # And an identity with another profile is none either.
    other = replace(approval, profile=PROFILES[DEFAULT])
    with pytest.raises(Refused, match="SPIFFE ID"):
        service.intend([other], domain, authority.issuers, NOW)
    server = replace(
        approval, identity=TRUST_DOMAIN.server, profile=PROFILES["server"],
        names=Names(uri=(str(TRUST_DOMAIN.server),), ip=("127.0.0.1",)),
    )  # fmt: skip
    assert service.intend([server], domain, authority.issuers, NOW)
    narrow = Issuers.only(constrained(authority, permitted={"ip": ["10.0.0.0/8"]}))
    with pytest.raises(Refused, match=r"the name constraints of test\.internal root"):
        service.intend([server], domain, narrow, NOW)


# ACME

ACCOUNT = Account("acc-1", {}, "thumb", (), NOW, external_key="key-1")


def test_rfc_8555_6_7_1_an_order_is_refused_early_with_a_subproblem_for_each_name(authority):
    external = ExternalKey("key-1", Secret(b""), NOW, names=("*.pay.internal", "10.0.0.0/8"))
    requester = orders.requester_of(ACCOUNT, external)
    assert (requester.account, requester.eab, requester.limits) == ("acc-1", "key-1", external.names)
    domain = Domain(TRUST_DOMAIN, {}, PROFILES, POLICY)
    fine, admin, far = (Identifier("dns", n) for n in ("a.pay.internal", "admin.pay.internal", "a.far.internal"))
    payments = PROFILES["payments"]
    orders.require_allowed((fine,), requester, payments, domain, authority.issuer)
    with pytest.raises(Problem) as caught:
        orders.require_allowed((admin,), requester, payments, domain, authority.issuer)
    assert (caught.value.kind, caught.value.identifier) == ("rejectedIdentifier", admin)
    assert "handsel.yaml:8" in str(caught.value.to_json()["detail"])
    with pytest.raises(Problem) as caught:
        orders.require_allowed((fine, admin, far), requester, payments, domain, authority.issuer)
    document = caught.value.to_json()
    assert document["type"].endswith(":rejectedIdentifier")
    assert [each["identifier"]["value"] for each in document["subproblems"]] == [admin.value, far.value]


@pytest.mark.parametrize("at_root", [True, False])
def test_an_order_outside_the_chains_constraints_is_refused_early(authority, at_root):
    narrow = constrained(authority, permitted={"dns": ["pay.internal"]}, at_root=at_root)
    domain = Domain(TRUST_DOMAIN, {}, PROFILES)
    fine, far = Identifier("dns", "a.pay.internal"), Identifier("dns", "a.far.internal")
    orders.require_allowed((fine,), SOMEBODY, PROFILES[DEFAULT], domain, narrow)
    with pytest.raises(Problem, match="name constraints"):
        orders.require_allowed((far,), SOMEBODY, PROFILES[DEFAULT], domain, narrow)
    assert explain("dns", far.value, SOMEBODY, None, TRUST_DOMAIN, None, narrow).verdict == "no"
    assert explain("dns", fine.value, SOMEBODY, None, TRUST_DOMAIN, None, narrow).verdict == "yes"


# Explaining


def _explain(name: str, profile: str | None = None, **who):
    found = PROFILES[profile] if profile else None
    return explain("dns", name, Requester("any", profile=profile, **who), found, TRUST_DOMAIN, POLICY)


@pytest.mark.parametrize(
    ("name", "who", "verdict", "effects"),
    [
        ("a.pay.internal", {}, "depends", ["may allow"]),
        ("a.pay.internal", {"profile": "payments"}, "depends", ["may allow"]),
        ("a.pay.internal", {"profile": "payments", "account": "acc-1"}, "yes", ["allows"]),
        ("a.pay.internal", {"account": "acc-7"}, "no", []),
        ("admin.pay.internal", {}, "no", ["denies"]),
        ("a.open.internal", {}, "depends", ["may deny", "allows"]),
        ("a.open.internal", {"eab": "suspended"}, "no", ["denies"]),
        ("a.open.internal", {"eab": "fine"}, "yes", ["allows"]),
        ("a.elsewhere", {}, "no", []),
    ],
)
def test_an_explanation_says_what_depends_on_what_was_not_said(name, who, verdict, effects):
    found = _explain(name, **who)
    assert (found.verdict, [each.effect for each in found.rules]) == (verdict, effects)
    assert found.name in found.why


@given(some_dns, st.lists(rules, max_size=4).map(tuple), st.sampled_from(["acc-1", "acc-2"]))
def test_an_explanation_agrees_with_every_decision(name, policy_rules, account):
    open_ended = explain("dns", name, Requester("any"), None, TRUST_DOMAIN, policy_rules)
    closed = explain("dns", name, Requester("any", account), None, TRUST_DOMAIN, policy_rules)
    decided = decide(Names(dns=(name,)), Requester("acme", account), policy_rules).allowed
    assert closed.verdict == ("yes" if decided else "no")
    if open_ended.verdict != "depends":
        assert open_ended.verdict == closed.verdict


def test_every_kind_of_pattern_has_a_word_in_the_file():
    rule = _rules('  - allow: {dns: [a.b], ip: [10.0.0.1], uri: ["https://a/x"], mail: [a@b.c]}\n')[0]
    assert [each.kind for each in rule.names] == list(KINDS)
