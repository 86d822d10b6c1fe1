"""The last look before signing, at drafts that nobody should have made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.authority import ca
from handsel.authority.check import check
from handsel.authority.model import Approval, Domain, Draft, Lifetimes
from handsel.errors import Refused
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from tests.support import NOW, TRUST_DOMAIN

WEB = TRUST_DOMAIN.workload("default", "web")
DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB}, Lifetimes())


@pytest.fixture
def draft(authority) -> Draft:
    key = PrivateKey.generate().handle.public_key()
    approval = Approval(WEB, (), (), key, timedelta(hours=1), "test")
    return ca.prepare(approval, authority.issuer, serial=7, now=NOW, backdate=timedelta())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param({"identity": TrustDomain("other.internal").server}, "not of the trust domain", id="domain"),
        pytest.param({"identity": TRUST_DOMAIN.nobody}, "never issued", id="nobody"),
        pytest.param({"not_after": NOW}, "has ended", id="no life"),
        pytest.param({"not_after": NOW + timedelta(hours=25)}, "lives at most", id="a long life"),
    ],
)
def test_a_draft_that_breaks_a_rule_is_refused_with_the_rule(authority, draft, change, rule):
    assert check(draft, authority.issuer, DOMAIN).draft is draft
    with pytest.raises(Refused, match=rule):
        check(replace(draft, **change), authority.issuer, DOMAIN)


def test_a_draft_that_outlives_its_issuer_is_refused(authority, draft):
    end = authority.issuer.certificate.not_after
    last = replace(draft, not_before=end - timedelta(hours=1), not_after=end)
    assert check(last, authority.issuer, DOMAIN)
    with pytest.raises(Refused, match="outlive"):
        check(replace(last, not_after=end + timedelta(microseconds=1)), authority.issuer, DOMAIN)
