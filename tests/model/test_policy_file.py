"""`authority: policy:` and `profiles:` of the mesh file: what they become, and every fault with its place."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.file import schema, settings
from tests.support import read_mesh


def _policy(rules: str):
    return read_mesh(f"services: {{}}\nauthority:\n  profiles: {{payments: {{}}}}\n  policy:{rules}").authority.policy


def _faults(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_mesh(text)
    return [str(fault) for fault in caught.value.faults]


def _rule_faults(rule: str) -> list[str]:
    return _faults(f"services: {{}}\nauthority:\n  profiles: {{payments: {{}}}}\n  policy:\n    - {rule}\n")


def test_no_policy_is_not_an_empty_one():
    assert read_mesh("services: {}").authority.policy is None
    assert _policy(" []") == ()


def test_a_rule_keeps_its_line_and_takes_one_or_many():
    one, many = _policy("""
    - allow: {dns: ["*.pay.internal"], ip: [10.0.0.0/8]}
      for: {profile: payments, account: ID, eab: KEY, attestor: oidc}

    - deny: {mail: [a@b.c]}
      for: {attestor: [oidc, ssh_host]}
""")
    assert (one.allows, one.where, one.profiles, one.accounts) == (True, "handsel.yaml:5", ("payments",), ("ID",))
    assert (one.external_keys, one.attestors) == (("KEY",), ("oidc",))
    assert [(each.kind, str(each)) for each in one.names] == [("dns", "*.pay.internal"), ("ip", "10.0.0.0/8")]
    assert (many.allows, many.where, many.attestors) == (False, "handsel.yaml:8", ("oidc", "ssh_host"))
    assert str(many) == "the deny rule at handsel.yaml:8"


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("{}", "5:7: authority.policy[0]: a rule has either allow or deny"),
        ("{allow: {dns: [a]}, deny: {dns: [a]}}", "5:7: authority.policy[0]: a rule has either allow or deny"),
        ("{allow: {}}", "5:8: authority.policy[0].allow: a rule has at least one pattern under dns, ip, uri or mail"),
        ("{allow: {dns: []}}", "5:8: authority.policy[0].allow: a rule has at least one pattern under dns, ip, uri or mail"),
        ("{allow: {dns: [a, 'b c']}}", "5:24: authority.policy[0].allow.dns[1]: 'b c' is no DNS name"),
        ("{allow: {dsn: [a]}}", '5:16: authority.policy[0].allow.dsn: unknown key, did you mean "dns"?'),
        ("{allow: {ip: [10.0.0.1/8]}}", "5:21: authority.policy[0].allow.ip[0]: '10.0.0.1/8' is no address and no network: 10.0.0.1/8 has host bits set"),
        ("{deny: {uri: [a.internal]}}", "5:21: authority.policy[0].deny.uri[0]: 'a.internal' is no pattern of URIs: write the whole URI, or its beginning up to /*"),
        ("{allow: {dns: [a]}, for: {profile: paymnts}}", "5:33: authority.policy[0].for.profile[0]: there is no profile 'paymnts', did you mean \"payments\"?"),
        ("{allow: {dns: [a]}, for: {profile: [workload]}}", "5:43: authority.policy[0].for.profile[0]: who has a certificate of the profile 'workload' is not for the policy to say"),
        ("{allow: {dns: [a]}, for: {attestor: oidcc}}", "5:33: authority.policy[0].for.attestor[0]: must be 'ticket', 'x509pop', 'kubernetes', 'oidc', 'ssh_host' or 'tpm', not 'oidcc'"),
        ("{allow: {dns: [a]}, for: {eab: []}}", "5:27: authority.policy[0].for: eab is empty: leave it out when it does not matter"),
        ("{allow: {dns: [a]}, for: {acount: x}}", '5:33: authority.policy[0].for.acount: unknown key, did you mean "account"?'),
    ],
)  # fmt: skip
def test_every_fault_of_a_rule_has_its_place(rule, fault):
    assert _rule_faults("{allow: {dns: [a]}, for: {profile: nobody}}")  # the control: faults come from the rule
    assert _policy("\n    - {allow: {dns: [a]}, for: {profile: payments}}\n")
    found = _rule_faults(rule)
    assert len(found) == 1
    assert found[0].partition(":")[2].partition(": ")[2] == fault.partition(": ")[2]
    assert found[0].startswith("handsel.yaml:5:")


def test_several_faults_are_said_at_once():
    found = _faults("""
services: {}
authority:
  leaf_lifetime: 1ms
  profiles:
    workload: {}
    bad: {names: ["a*b"], usages: [1.3.6.1.5.5.7.3.9, nope]}
    Upper: {}
  policy:
    - allow: {dns: ["x y", fine.internal, "z z"]}
    - deny: {ip: [300.0.0.1]}
""")
    assert [each.split(": ")[1] for each in found] == [
        "authority.leaf_lifetime", "authority.profiles.workload", "authority.profiles.bad.names[0]",
        "authority.profiles.bad.usages[0]", "authority.profiles.bad.usages[1]", "authority.profiles.Upper",
        "authority.policy[0].allow.dns[0]", "authority.policy[0].allow.dns[2]", "authority.policy[1].deny.ip[0]",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["workload", "agent", "server", "administrator"])
def test_handsels_own_profiles_cannot_be_written(name):
    assert read_mesh(f"services: {{}}\nauthority: {{profiles: {{{name}s: {{}}}}}}").authority.profiles
    (fault,) = _faults(f"services: {{}}\nauthority: {{profiles: {{{name}: {{}}}}}}")
    assert f"the profile {name!r} is handsel's own" in fault


@pytest.mark.parametrize(("lifetime", "is_fine"), [("1s", False), ("2s", True), ("3650d", True), ("3651d", False)])
def test_a_profile_lives_for_a_time_that_makes_sense(lifetime, is_fine):
    text = f"services: {{}}\nauthority:\n  profiles:\n    a: {{lifetime: {lifetime}, validity: public-web}}\n"
    if is_fine:
        assert read_mesh(text).authority.profiles["a"].as_public_web
    else:
        assert _faults(text) == ["handsel.yaml:4:9: authority.profiles.a.lifetime: must be between 2s and 3650d"]


@pytest.mark.parametrize(("oid", "what"), [("1.3.6.1.5.5.7.3.9", "OCSP"), ("2.5.29.37.0", "any usage")])
def test_no_profile_gives_away_the_authoritys_own_usages(oid, what):
    usages = "services: {{}}\nauthority: {{profiles: {{a: {{usages: [{}]}}}}}}"
    assert read_mesh(usages.format("1.3.6.1.5.5.7.3.17")).authority.profiles["a"].extended_usages
    (fault,) = _faults(usages.format(oid))
    assert what in fault
    assert "is given to no leaf" in fault


def test_the_schema_and_the_settings_know_the_policy():
    assert "for" in schema()["$defs"]["RuleFile"]["properties"]
    text = b"services: {}\nauthority:\n  policy:\n    - deny: {dns: [a]}\n"
    found = {name: (value, where) for name, value, where in settings(text, "handsel.yaml")}
    assert found["authority.policy"][1] == "handsel.yaml:3"
    assert '"for"' in found["authority.policy"][0]
