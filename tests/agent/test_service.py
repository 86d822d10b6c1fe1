"""The stories of the agent: what is due, what is asked for, what is believed of the answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.agent import renewal, service
from handsel.authority.revocation import Reason
from handsel.authority.va.lists import mesh_crl
from handsel.errors import ProtocolError
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from handsel.pki.revocation import entry
from tests.agent.things import assigned, holdings, identity, workload
from tests.support import NOW


def _two(authority):
    return holdings(authority, workload(), replace(workload(), assigned=assigned("emoji")))


def _answer(authority, asked, names=None):
    names = names or [name for name, _ in asked.keys]
    return [authority.pair(identity(name), key=key).chain for name, (_, key) in zip(names, asked.keys, strict=True)]


def test_what_has_no_certificate_is_due_at_once(authority):
    there = holdings(
        authority, workload(authority.pair(identity("web"))), replace(workload(), assigned=assigned("emoji"))
    )
    assert service.due(there, NOW) == ["emoji"]


def test_what_has_one_is_due_when_its_moment_comes(authority):
    pair = authority.pair(identity("web"))
    there = holdings(authority, workload(pair))
    moment = renewal.due(pair.leaf, None)
    assert service.due(there, moment - timedelta(microseconds=1)) == []
    assert service.due(there, moment) == ["web"]


def test_what_was_revoked_is_due_at_once_and_another_ones_list_changes_nothing(authority):
    pair = authority.pair(identity("web"))
    there = holdings(authority, workload(pair))
    number = pair.leaf.parsed.serial_number
    for serial, expected in ((number + 1, []), (number, ["web"])):
        line = entry(serial, NOW, Reason.KEY_COMPROMISE)
        revoked = mesh_crl(authority.issuer, [line], number=1, sequence=1, now=NOW).der
        listed = replace(there, bundle=replace(there.bundle, crls=(revoked,)))
        assert service.due(listed, NOW) == expected


def test_a_large_host_is_asked_for_in_batches(authority):
    names = [f"web-{number}" for number in range(1200)]
    there = holdings(authority, *(replace(workload(), assigned=assigned(name)) for name in names))
    batch = service.due(there, NOW)
    assert 0 < len(batch) < 1200
    assert batch == names[: len(batch)]


def test_the_next_moment_is_the_earliest_of_all(authority):
    own = authority.pair(authority.trust_domain.agent("a1"), lifetime=timedelta(hours=24))
    pairs = [
        authority.pair(identity(name), lifetime=timedelta(hours=hours)) for name, hours in (("web", 2), ("emoji", 1))
    ]
    there = holdings(authority, workload(pairs[0]), replace(workload(pairs[1]), assigned=assigned("emoji")))
    assert service.next_due(there, own) == renewal.due(pairs[1].leaf, None)
    assert service.next_due(holdings(authority, workload()), own) == renewal.due(own.leaf, None)


def test_every_request_has_a_key_of_its_own_and_the_name_of_its_service(authority):
    asked = service.ask(["web", "emoji"])
    again = service.ask(["web"])
    requests = [csr.parse(der) for _, der in asked.request(_two(authority)).wanted]
    assert [each.names for each in requests] == [Names(uri=(str(identity(name)),)) for name in ("web", "emoji")]
    keys = {each.public_key_der for each in requests} | {again.keys[0][1].public_der()}
    assert len(keys) == 3


def test_what_came_back_is_held_with_its_key(authority):
    asked = service.ask(["web", "emoji"])
    after = service.receive(_two(authority), asked, _answer(authority, asked))
    for name, key in asked.keys:
        pair = after.workloads[name].key_pair
        assert pair.key is key
        assert pair.leaf.spiffe_id == identity(name)
    assert service.due(after, NOW) == []


def test_an_answer_that_does_not_fit_is_not_believed(authority):
    asked = service.ask(["web", "emoji"])
    good = _answer(authority, asked)
    assert service.receive(_two(authority), asked, good)
    bad = {
        "one too few": good[:1],
        "the other order": good[::-1],
        "another key": [authority.pair(identity("web")).chain, good[1]],
        "another name": _answer(authority, asked, ["emoji", "emoji"]),
        "nothing": [(), good[1]],
    }
    for chains in bad.values():
        with pytest.raises(ProtocolError):
            service.receive(_two(authority), asked, chains)


def test_a_workload_that_was_taken_away_in_the_meantime_is_left_out(authority):
    asked = service.ask(["web", "emoji"])
    after = service.receive(holdings(authority, workload()), asked, _answer(authority, asked))
    assert set(after.workloads) == {"web"}


def test_a_pair_belongs_together(authority):
    pair = authority.pair(identity("web"))
    assert service.check_pair(pair.key, pair.chain) == pair
    with pytest.raises(ProtocolError):
        service.check_pair(PrivateKey.generate(), pair.chain)
    with pytest.raises(ProtocolError):
        service.check_pair(pair.key, ())
