"""The rules of registration in the mesh file: what each attestor needs, and faults with their places."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from tests.support import read_mesh


def _read(*rules: str, more: str = ""):
    listed = "".join(f"    - {rule}\n" for rule in rules)
    return read_mesh(f"services: {{web: {{}}}}\nauthority:\n  registration:\n{listed}{more}").authority


OIDC = '{attestor: oidc, issuer: "https://t.example", audience: handsel, when: {sub: x}, services: [web]}'


def test_rules_are_read_with_absolute_paths_and_a_name_each():
    authority = _read(
        OIDC,
        "{name: racks, attestor: tpm, roots: tpm.pem, services: ['{common_name}'], when: {dns: [a, b]}}",
        "{attestor: kubernetes, issuer: k, audience: a, keys: 'https://k/jwks', ca: k.pem, identities: ['spiffe://x/{pod}']}",
        more="  recovery_grace: 2d\n",
    )
    first, second, third = authority.registration
    assert (first.name, first.issuer, first.when, first.services) == (
        "rule 1", "https://t.example", {"sub": ("x",)}, ("web",)
    )  # fmt: skip
    assert (second.name, second.roots, second.when) == ("racks", "/etc/shop/tpm.pem", {"dns": ("a", "b")})
    assert (third.keys, third.ca, third.services) == ("https://k/jwks", "/etc/shop/k.pem", ())
    assert authority.recovery_grace == timedelta(days=2)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("{attestor: magic, services: [web]}", "must be 'x509pop', 'kubernetes'"),
        ("{attestor: tpm, services: [web]}", "the attestor tpm needs 'roots'"),
        ("{attestor: kubernetes, issuer: k, audience: a, services: [web]}", "needs 'keys'"),
        ("{attestor: x509pop, roots: r, keys: j, services: [web]}", "the attestor x509pop knows no 'keys'"),
        ("{attestor: x509pop, roots: r}", "says neither services nor identities"),
        ("{attestor: x509pop, roots: ~/r, services: [web]}", "write the path out"),
        ("{attestor: x509pop, roots: r, services: ['{a']}", "a brace that belongs to no placeholder"),
        (OIDC.replace("when: {sub: x}, ", ""), "needs 'when'"),
        (OIDC.replace("https:", "http:"), "must be an https address"),
        (OIDC.replace("when", "where"), 'did you mean "when"'),
    ],
)
def test_a_rule_that_is_wrong_says_where_and_why(rule, reason):
    assert _read(OIDC).registration
    with pytest.raises(InvalidFile, match=reason) as caught:
        _read(OIDC, rule)
    assert "handsel.yaml:5:" in str(caught.value)
