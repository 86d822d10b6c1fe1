"""Bundles that are kept: ours rises at every change; one of another trust domain is kept until a better one comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import federation, jwt, spiffe_bundle
from handsel.authority.adapters.federation_tables import BundleTables
from handsel.authority.federation import BundleKept, BundleLooked
from handsel.authority.spiffe_bundle import SpiffeBundle
from handsel.errors import Refused
from handsel.model.federation import EndpointProfile, Federated, SpiffeSettings
from handsel.pki.certificate import to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

OTHER = TrustDomain("other.internal")
THEM = Federated(OTHER, "https://other.internal/bundle", EndpointProfile.WEB)
HINT = timedelta(minutes=5)
ROOTS = [TestAuthority.make().issuer.root for _ in range(3)]
THEIRS = TestAuthority.make(trust_domain=OTHER)
KEYS = [
    jwt.show_key(PrivateKey.generate(), [], server="one", stored=str(n), settings=SpiffeSettings(), now=NOW).answer
    for n in range(3)
]
states = st.tuples(
    st.lists(st.sampled_from(ROOTS), unique=True, min_size=1),
    st.lists(st.sampled_from(KEYS), unique=True),
    st.just(HINT),
)


@given(st.lists(states, max_size=8))
def test_our_sequence_rises_at_every_change_and_at_no_other_time(history):
    kept, content = None, None
    for number, (roots, keys, hint) in enumerate(history):
        now = NOW + timedelta(minutes=number)
        outcome = federation.keep_own(kept, TRUST_DOMAIN, roots, keys, hint, now)
        wanted = (set(roots), {each.kid for each in keys})
        if kept is not None and wanted == content:
            assert outcome.writes == ()
            assert outcome.answer == kept
        else:
            assert outcome.answer in outcome.writes
            assert outcome.answer.bundle.sequence == (kept.bundle.sequence + 1 if kept else 1)
        kept, content = outcome.answer, wanted
        assert set(kept.bundle.x509) == set(roots)
        assert kept.bundle.refresh_hint == HINT


def _theirs(sequence: int | None, *, hint: timedelta | None = HINT) -> SpiffeBundle:
    return SpiffeBundle(OTHER, (THEIRS.issuer.root,), (KEYS[0].authority,), sequence, hint)


def _kept(sequence: int | None = 5) -> BundleKept:
    return BundleKept(_theirs(sequence), NOW)


def test_a_newer_bundle_is_taken_the_same_is_no_change_and_an_older_is_refused():
    later = NOW + timedelta(hours=1)
    newer = federation.take(spiffe_bundle.write(_theirs(6)), THEM, _kept(5), later)
    assert newer.answer == BundleKept(_theirs(6), later)
    assert newer.answer in newer.writes
    same = federation.take(spiffe_bundle.write(_theirs(5)), THEM, _kept(5), later)
    assert same.writes == (BundleLooked(OTHER, later, later),)
    assert same.answer == _kept(5)
    with pytest.raises(Refused, match="older"):
        federation.take(spiffe_bundle.write(_theirs(4)), THEM, _kept(5), later)
    anew = federation.take(spiffe_bundle.write(_theirs(4)), THEM, None, later)
    assert anew.answer.bundle.sequence == 4


def test_an_empty_bundle_is_taken_and_nonsense_is_not():
    empty = federation.take(b'{"keys":[],"spiffe_sequence":6}', THEM, _kept(5), NOW)
    assert empty.answer.bundle.x509 == ()
    with pytest.raises(Refused, match="no bundle"):
        federation.take(b"<html>", THEM, _kept(5), NOW)


def test_it_is_looked_for_at_the_hint_and_sooner_after_a_failure():
    found, failed = BundleLooked(OTHER, NOW, NOW), BundleLooked(OTHER, NOW, None, "away")
    assert federation.due(None, None) is None
    assert federation.due(_kept(), found) == NOW + HINT
    assert federation.due(_kept(), failed) == NOW + timedelta(minutes=1)
    quick = BundleKept(_theirs(1, hint=timedelta(seconds=0)), NOW)
    assert federation.due(quick, found) == NOW + federation.USUAL_HINT  # nobody makes us ask without a pause
    slow = BundleKept(_theirs(1, hint=timedelta(days=300)), NOW)
    assert federation.due(slow, found) == NOW + timedelta(days=1)
    silent = BundleKept(_theirs(1, hint=None), NOW)
    assert federation.due(silent, found) == NOW + federation.USUAL_HINT


def test_the_file_for_the_first_contact_is_a_bundle_or_pem():
    root = THEIRS.issuer.root
    assert federation.first_contact(spiffe_bundle.write(_theirs(1)), OTHER) == (root,)
    assert federation.first_contact(to_pem((root,)), OTHER) == (root,)
    with pytest.raises(ValueError, match=r"\w"):
        federation.first_contact(b"neither", OTHER)


def test_who_serves_a_bundle_is_known_by_its_one_name():
    server = OTHER.server
    federation.check_server(THEIRS.pair(server).leaf, server)
    for leaf in (THEIRS.pair(OTHER.workload("default", "web")).leaf, THEIRS.issuer.root, THEIRS.issuer.certificate):
        with pytest.raises(Refused, match="is"):
            federation.check_server(leaf, server)


async def test_bundles_come_back_from_their_tables_each_by_itself(store):
    ours = BundleKept(SpiffeBundle(TRUST_DOMAIN, (ROOTS[0],), (), 1, HINT), NOW)
    failed = BundleLooked(OTHER, NOW, None, "away")
    await store.commit((ours, _kept(5), failed))
    tables = BundleTables(store)
    assert await tables.bundles() == {TRUST_DOMAIN: ours, OTHER: _kept(5)}
    assert await tables.looks() == {OTHER: failed}
    newer = replace(_kept(6), since=NOW + timedelta(hours=1))
    await store.commit((newer, federation.failed(OTHER, BundleLooked(OTHER, NOW, NOW), "x" * 9999, NOW)))
    assert (await tables.bundles())[OTHER] == newer
    looked = (await tables.looks())[OTHER]
    assert looked.found == NOW
    assert len(looked.problem) == 500
