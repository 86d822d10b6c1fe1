"""The last look before signing, at drafts that nobody should have made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.authority import ca
from handsel.authority.check import check
from handsel.authority.model import Approval, Domain, Draft
from handsel.authority.profile import WORKLOAD, Lifetimes, profiles
from handsel.errors import Refused
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, SpiffeId, TrustDomain
from tests.support import NOW, TRUST_DOMAIN

WEB = TRUST_DOMAIN.workload("default", "web")
DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB}, profiles(Lifetimes()))


PROFILE = DOMAIN.profiles[WORKLOAD]


def _as(identity: SpiffeId) -> dict[str, object]:
    return {"identity": identity, "names": Names(uri=(str(identity),))}


@pytest.fixture
def draft(authority) -> Draft:
    key = PrivateKey.generate().handle.public_key()
    approval = Approval(Names(uri=(str(WEB),)), WEB, key, PROFILE, PROFILE.lifetime, "test")
    return ca.prepare(approval, authority.issuer, serial=7, now=NOW)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(_as(TrustDomain("other.internal").server), "not of the trust domain", id="domain"),
        pytest.param(_as(TRUST_DOMAIN.nobody), "never issued", id="nobody"),
        pytest.param({"identity": None}, "given by the mesh alone", id="an identity that nobody gave"),
        pytest.param({"identity": TRUST_DOMAIN.server}, "given by the mesh alone", id="another identity"),
        pytest.param({"names": Names(uri=(str(WEB), "https://web/"))}, "the only URI", id="a URI beside"),
        pytest.param({"names": Names(), "identity": None}, "at least one name", id="no name"),
        pytest.param({"names": Names(uri=(str(WEB),), other=1)}, "only names of", id="another kind of name"),
        pytest.param(
            {"names": Names(uri=(str(WEB),), dns=(TRUST_DOMAIN.server_dns,))}, "handsel's own servers", id="our name"
        ),
        pytest.param({"profile": replace(PROFILE, issuer="other")}, "signed by 'other', not 'issuing'", id="issuer"),
        pytest.param({"profile": replace(PROFILE, keys=frozenset({KeyType.P384}))}, "no key of this kind", id="key"),
        pytest.param({"not_after": NOW}, "has ended", id="no life"),
        pytest.param({"not_after": NOW + PROFILE.lifetime + timedelta(seconds=1)}, "lives at most", id="a long life"),
    ],
)
def test_a_draft_that_breaks_a_rule_is_refused_with_the_rule(draft, change, rule):
    assert check(draft, DOMAIN).draft is draft
    with pytest.raises(Refused, match=rule):
        check(replace(draft, **change), DOMAIN)


def test_a_draft_that_outlives_its_issuer_is_refused(authority, draft):
    end = authority.issuer.certificate.not_after
    last = replace(draft, not_before=end - timedelta(hours=1), not_after=end)
    assert check(last, DOMAIN)
    with pytest.raises(Refused, match="outlive"):
        check(replace(last, not_after=end + timedelta(microseconds=1)), DOMAIN)
