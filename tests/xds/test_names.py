"""Which secret a name means on one socket, and which names are refused: default deny."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.certificate import to_pem
from handsel.xds import secret
from handsel.xds.names import NOTHING, Denial, Names
from handsel.xds.resources import CLUSTER, SECRET, resource
from handsel.xds.snapshot import snapshot
from tests.support import NOW, TRUST_DOMAIN

WEB = str(TRUST_DOMAIN.workload("default", "web"))
FILES = ("file-cert:/etc/a.crt~/etc/a.key", "file-root:/etc/ca.crt")
NAMES = Names(WEB, ("web.test.internal",), "test.internal", ("partner.example",), FILES)
GRANTED = {
    "default": "default", WEB: "default", "web.test.internal": "default",
    "ROOTCA": "ROOTCA", "spiffe://test.internal": "ROOTCA", "trusted_ca": "ROOTCA", "validation_context": "ROOTCA",
    "spiffe://partner.example": "spiffe://partner.example", "ALL": "ALL", **{name: name for name in FILES},
}  # fmt: skip


@pytest.mark.parametrize(("name", "means"), GRANTED.items())
def test_a_granted_name_means_one_secret(name, means):
    assert NAMES.means(name) == means
    assert NAMES.decide(name).granted


@given(st.text(), st.sampled_from(["", "spiffe://", "spiffe://test.internal/", "file-cert:", "file-root:", "default"]))
def test_every_other_name_is_refused_in_words_that_are_short_and_printable(text, prefix):
    name = prefix + text
    decision = NAMES.decide(name)
    assert decision.granted == (name in GRANTED)
    assert NAMES.means(name) == GRANTED.get(name)
    assert len(decision.reason) < 2000
    assert decision.reason.isprintable()
    assert Names().decide(name).denial is not None


@pytest.mark.parametrize(
    ("name", "denial"),
    [
        (str(TRUST_DOMAIN.workload("default", "other")), Denial.FORBIDDEN),
        ("spiffe://partner.example/ns/default/sa/web", Denial.FORBIDDEN),
        ("file-root:system", Denial.FORBIDDEN),
        ("spiffe://stranger.example", Denial.UNKNOWN),
        ("other.test.internal", Denial.UNKNOWN),
        ("", Denial.UNKNOWN),
    ],
)
def test_a_refusal_says_whose_socket_it_is_and_what_is_served(name, denial):
    decision = NAMES.decide(name)
    assert decision.denial == denial
    assert WEB in decision.reason
    assert "default" in decision.reason
    assert "more" in decision.reason


def test_the_names_that_are_told_are_few():
    many = Names(WEB, tuple(f"{number}.test.internal" for number in range(1000)), "test.internal")
    assert len(many.decide("x").reason) < 1000


def _world(authority):
    pair = authority.pair(TRUST_DOMAIN.workload("default", "web"))
    identity = secret.tls_certificate("default", to_pem(pair.chain), pair.key.pem(), now=NOW)
    return snapshot([identity, secret.validation_context("ROOTCA", to_pem((authority.issuer.root,)))])


def test_an_alias_is_a_secret_of_its_own_with_a_version_of_its_own(authority):
    served = NOTHING.after(_world(authority), NAMES)
    original, alias = served.get(SECRET, "default"), served.get(SECRET, WEB)
    assert original is served.resources[SECRET, "default"]
    assert secret.secret_pb2.Secret.FromString(alias.body).name == alias.name == WEB
    assert alias.version != original.version
    assert alias.type_url == SECRET


def test_an_alias_is_made_once_for_as_long_as_its_secret_is_the_same(authority):
    world = _world(authority)
    served = NOTHING.after(world, NAMES)
    alias, bundles = served.get(SECRET, WEB), served.get(SECRET, "ALL")
    again = served.after(snapshot([*world.resources.values(), resource(CLUSTER, "a", b"1")]), NAMES)
    assert again.get(SECRET, WEB) is alias
    assert again.get(SECRET, "ALL") is bundles
    renewed = again.after(_world(authority), NAMES)
    assert renewed.get(SECRET, WEB) != alias
    assert alias not in renewed._aliases.values()  # a key that was replaced is not kept


def test_of_all_bundles_ours_is_waited_for_and_a_partners_is_not(authority):
    world = _world(authority)
    bundles = NOTHING.after(world, NAMES).get(SECRET, "ALL")
    assert bundles is not None
    partner = secret.validation_context("spiffe://partner.example", to_pem((authority.issuer.certificate,)))
    both = NOTHING.after(snapshot([*world.resources.values(), partner]), NAMES).get(SECRET, "ALL")
    assert both != bundles
    assert NOTHING.after(snapshot([partner]), NAMES).get(SECRET, "ALL") is None


def test_what_is_published_but_not_granted_is_not_served():
    hidden = resource(SECRET, "file-root:system", b"1")
    served = NOTHING.after(snapshot([hidden]), NAMES)
    assert served.get(SECRET, hidden.name) is None
    assert served.of_type(SECRET) == {}
    assert not served.awaits(SECRET, hidden.name)
    assert NOTHING.after(snapshot([hidden]), Names(files=(hidden.name,))).get(SECRET, hidden.name) == hidden
    assert served.awaits(SECRET, "default")
