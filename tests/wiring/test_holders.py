"""Whom a rotation waits for: holders that do not verify yet with what is told, roots and lists of revocations alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.authority.va.lists import mesh_crl
from handsel.link.messages import Bundle, fingerprint_of
from handsel.link.report import WorkloadReport
from handsel.pki.revocation import signer_key_id
from handsel.wiring.holders import Holders
from tests.support import NOW, TestAuthority

LIVING = NOW + timedelta(minutes=30)


@pytest.fixture
def before() -> TestAuthority:
    return TestAuthority.make()


@pytest.fixture
def coming() -> TestAuthority:
    return TestAuthority.make()


def _list(authority: TestAuthority) -> bytes:
    return mesh_crl(authority.issuer, [], number=1, sequence=0, now=NOW).der


def _report(bundle: Bundle, *lists: bytes) -> WorkloadReport:
    said = tuple((signer_key_id(each) or b"").hex() for each in lists)
    return WorkloadReport(
        "web", "127.0.0.1", 1, 2, 3, {}, "", "01", LIVING, bundle=fingerprint_of(bundle.roots), revocation_lists=said
    )


def _waiting(bundle: Bundle, report: WorkloadReport) -> list[str]:
    return Holders(None, lambda: {"host": {"web": report}}, lambda: bundle).waiting(NOW)  # type: ignore[arg-type]


def test_a_proxy_without_the_list_of_a_ca_that_comes_is_waited_for_since_it_would_refuse_what_that_signs(
    before, coming
):
    bundle = Bundle((before.issuer.root,), (_list(before), _list(coming)))
    assert _waiting(bundle, _report(bundle, _list(before))) == ["host/web"]
    assert _waiting(bundle, _report(bundle, _list(before), _list(coming))) == []


def test_a_proxy_that_looks_at_no_list_misses_none(before, coming):
    bundle = Bundle((before.issuer.root,), (_list(before), _list(coming)))
    assert _waiting(bundle, _report(bundle)) == []


def test_a_proxy_with_other_roots_is_waited_for_and_one_that_has_ended_is_not(before, coming):
    bundle = Bundle((before.issuer.root,), (_list(before),))
    other = _report(replace(bundle, roots=(coming.issuer.root,)), _list(before))
    assert _waiting(bundle, other) == ["host/web"]
    assert _waiting(bundle, replace(other, certificate_not_after=NOW)) == []
