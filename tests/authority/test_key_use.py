"""Whose key it is: read from a real store, decided before anything is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ca, directory, key_use, service
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.tables import Directory
from handsel.authority.key_use import KeyUse
from handsel.authority.model import Approval, CheckedDraft, Domain, Draft, Host
from handsel.authority.profile import DEFAULT, Lifetimes, profiles
from handsel.authority.revocation import Reason, revoke
from handsel.authority.service import Intent, random_serial
from handsel.errors import KeyRefused
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from tests.support import NOW, TRUST_DOMAIN

PROFILES = profiles(Lifetimes())
A, B = Names(dns=("a.internal", "b.internal")), Names(dns=("b.internal", "a.internal"))
OTHER = Names(dns=("a.internal",))


def _draft(
    authority, key: PrivateKey, names: Names = A, by: str = "account/one", profile=PROFILES[DEFAULT], now=NOW
) -> Draft:
    approval = Approval(names, None, key.handle.public_key(), profile, profile.lifetime, by)
    return ca.prepare(approval, authority.issuer, serial=random_serial(), now=now)


def _intent(*drafts: Draft) -> Intent:
    checked = tuple(CheckedDraft(each) for each in drafts)
    return Intent(tuple(directory.intended(each) for each in checked), checked)


@pytest.fixture
def issuing(store, authority) -> Issuing:
    return Issuing(store, lambda: authority.issuers)


async def test_a_key_is_certified_again_for_the_same_names_of_the_same_requester(issuing, authority):
    key = PrivateKey.generate()
    await issuing.issue(_intent(_draft(authority, key)))
    await issuing.issue(_intent(_draft(authority, key, B)))  # the order of names does not matter


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"by": "account/two"}, "another requester"),
        ({"by": "agent/one"}, "another requester"),
        ({"names": OTHER}, "other names: make a new key"),
        ({"profile": replace(PROFILES[DEFAULT], reuse_keys=False)}, "uses no key twice"),
    ],
)
async def test_a_key_that_lives_elsewhere_is_certified_to_nobody_else(issuing, authority, store, change, reason):
    key = PrivateKey.generate()
    await issuing.issue(_intent(_draft(authority, key)))
    with pytest.raises(KeyRefused, match=reason):
        await issuing.issue(_intent(_draft(authority, key, **change)))
    assert await Directory(store).unfinished() == []  # nothing was written for it
    await issuing.issue(_intent(_draft(authority, PrivateKey.generate(), **change)))  # with a key of its own it goes


async def test_a_key_is_free_again_when_its_certificate_has_ended(issuing, authority):
    key = PrivateKey.generate()
    (leaf,) = await issuing.issue(_intent(_draft(authority, key)))
    end = leaf.certificate.not_after
    with pytest.raises(KeyRefused):
        await issuing.issue(_intent(_draft(authority, key, by="account/two", now=end - timedelta(seconds=1))))
    await issuing.issue(_intent(_draft(authority, key, by="account/two", now=end)))


@pytest.mark.parametrize("reason", list(Reason))
async def test_a_key_that_is_known_to_others_is_never_certified_again(issuing, authority, store, reason):
    key = PrivateKey.generate()
    (leaf,) = await issuing.issue(_intent(_draft(authority, key)))
    outcome = revoke(leaf.certificate.serial, "issuing", reason, by="test", now=NOW)
    await store.commit(outcome.writes)
    again = _intent(_draft(authority, key, by="account/two", now=leaf.certificate.not_after + timedelta(days=300)))
    if reason in (Reason.KEY_COMPROMISE, Reason.CA_COMPROMISE, Reason.AA_COMPROMISE):
        with pytest.raises(KeyRefused, match="known to others"):
            await issuing.issue(again)
        with pytest.raises(KeyRefused, match="known to others"):  # nor to whom it belonged
            await issuing.issue(_intent(_draft(authority, key)))
    else:
        await issuing.issue(again)


async def test_an_intention_that_came_to_nothing_holds_no_key(issuing, authority, store):
    key = PrivateKey.generate()
    left = _intent(_draft(authority, key))
    await store.commit(left.writes)
    await issuing.issue(_intent(_draft(authority, key, by="account/two")))


async def test_the_mesh_uses_no_key_twice(issuing, authority, store):
    web, emoji = (TRUST_DOMAIN.workload("default", name) for name in ("web", "emoji"))
    domain = Domain(TRUST_DOMAIN, {"web": web, "emoji": emoji}, PROFILES)
    host = Host("a1", "host", ("*",), NOW)
    key, other = PrivateKey.generate(), PrivateKey.generate()
    wanted = {"domain": domain, "issuers": authority.issuers, "now": NOW}

    def ask(*pairs):
        return service.sign_workloads(host, [(name, csr.build(key, None)) for name, key in pairs], **wanted)

    with pytest.raises(KeyRefused, match="a key for each"):
        await issuing.issue(ask(("web", key), ("emoji", key)))
    await issuing.issue(ask(("web", key), ("emoji", other)))
    for name in ("web", "emoji"):
        with pytest.raises(KeyRefused):
            await issuing.issue(ask((name, key)))
    await issuing.issue(ask(("web", PrivateKey.generate())))


async def test_the_directory_knows_every_use_of_a_key(issuing, authority, store):
    key, other = PrivateKey.generate(), PrivateKey.generate()
    for each in (key, key, other):
        await issuing.issue(_intent(_draft(authority, each)))
    found = await Directory(store).key_users([key.pin()])
    assert [each.names for each in found] == [frozenset(A.dns)] * 2
    assert {each.requested_by for each in found} == {"account/one"}
    assert len(await Directory(store).key_users([key.pin(), other.pin()])) == 3
    assert await Directory(store).key_users([PrivateKey.generate().pin()]) == []


uses = st.builds(
    KeyUse, st.just("pin"), st.just("1"), st.sampled_from(["account/one", "account/two"]),
    st.sampled_from([frozenset(A.dns), frozenset(OTHER.dns)]), st.integers(-2, 2).map(lambda h: NOW + timedelta(hours=h)),
    st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.lists(uses, max_size=4), st.booleans())
def test_whose_key_it_is_depends_on_what_lives_and_on_what_is_known(authority, uses, reuse):
    draft = _draft(authority, _KEY, profile=replace(PROFILES[DEFAULT], reuse_keys=reuse))
    living = [use for use in uses if not use.revoked and use.not_after > NOW]
    mine = all(use.requested_by == "account/one" and use.names == frozenset(A.dns) for use in living)
    fine = not any(use.compromised for use in uses) and mine and (reuse or not living)
    try:
        key_use.check(draft, uses)
    except KeyRefused:
        assert not fine
    else:
        assert fine


_KEY = PrivateKey.generate()
