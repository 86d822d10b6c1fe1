"""A rotation that is only played: what is right goes well, and each thing that is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handsel.authority import ca, rehearsal
from handsel.authority.hierarchy import CaPlan
from handsel.authority.rehearsal import Stage
from handsel.authority.service import random_serial
from handsel.model.authority import NameSet
from handsel.pki.keys import KeyType, PrivateKey
from tests.support import NOW, TRUST_DOMAIN, TestAuthority, key_of

WEB = TRUST_DOMAIN.workload("default", "web")


def _stage(kind: KeyType = KeyType.P256, **changes: object) -> Stage:
    authority = TestAuthority.make()
    root = ca.make_root(TRUST_DOMAIN, key_of(kind), serial=random_serial(), now=NOW)
    living = (authority.pair(WEB).leaf, authority.pair(WEB, dns_names=("web.internal",)).leaf)
    return replace(Stage(TRUST_DOMAIN, root, (CaPlan(kind=kind),), {"issuing": living}, NOW), **changes)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA2048, KeyType.MLDSA65])
def test_what_is_right_goes_well(kind):
    stage = _stage(kind)
    scenes = rehearsal.play_root(stage)
    assert [each.problem for each in scenes] == [""] * 5
    assert scenes[0].what == "all 2 certificates of issuing that live now can be issued again"
    assert [each.problem for each in rehearsal.play_issuing(stage, stage.plans[0])] == ["", ""]


def test_names_that_the_next_ca_could_not_sign_for_are_named():
    narrow = CaPlan(excluded=NameSet(dns=("web.internal",)))
    for scenes in (
        rehearsal.play_issuing(_stage(), narrow),
        rehearsal.play_root(_stage(plans=(narrow,))),
    ):
        assert scenes[0].problem.startswith("1 cannot; ")
        assert "web.internal" in scenes[0].problem
        assert not any(each.problem for each in scenes[1:])


def test_a_chain_that_leads_nowhere_is_seen(monkeypatch):
    """The control of the other tests: with a link by a stranger the old root's people do not believe."""
    real = ca.link
    key = PrivateKey.generate()
    other = ca.make_root(TRUST_DOMAIN, key, serial=random_serial(), now=NOW)
    monkeypatch.setattr(ca, "link", lambda root, _signer, _key, *, serial: real(root, other, key, serial=serial))
    problems = {each.what: each.problem for each in rehearsal.play_root(_stage())}
    assert [what for what, problem in problems.items() if problem] == [
        "a new certificate of issuing, by the old root and the link: believed"
    ]
