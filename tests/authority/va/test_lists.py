"""When lists are made and what stands on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from handsel.authority.revocation import Reason
from handsel.authority.status_places import EVERYTHING, Scope, StatusPlaces
from handsel.authority.va import lists
from handsel.authority.va.lists import Newest
from handsel.authority.va.status import Revocation, StatusIndex
from handsel.errors import Refused
from handsel.model.authority import CrlSettings
from tests.support import NOW, TestAuthority

AUTHORITY = TestAuthority.make()
PLACES = StatusPlaces("http://ca.test.internal:8880")
SETTINGS = CrlSettings(lifetime=timedelta(hours=24), delta_lifetime=timedelta(hours=2))
HOUR = timedelta(hours=1)


def revocation(
    serial: int, at=NOW, *, sequence: int | None = None, ends=NOW + 100 * HOUR, identity=False
) -> Revocation:
    return Revocation(sequence or serial, serial, "issuing", at, Reason.SUPERSEDED, ends, identity)


class Ca:
    """The lists of one scope over time, as the server makes them."""

    def __init__(self, scope: Scope = EVERYTHING) -> None:
        self.scope = scope
        self.index = StatusIndex()
        self.held = self.index.held("issuing", scope)
        self.newest = Newest()
        self.now = NOW
        self.places = PLACES

    def make(self, *, force: bool = False) -> list[str]:
        """What is made now."""
        plans = lists.plan(
            AUTHORITY.issuer, self.scope, self.newest, self.held, self.places, SETTINGS, sequence=self.index.sequence,
            now=self.now, force=force,
        )  # fmt: skip
        for made in (plan.sign() for plan in plans):
            if made.name.endswith("delta"):
                self.newest = replace(self.newest, delta=made)
            else:
                self.newest = replace(self.newest, complete=made)
                self.held.listed(made.sequence, made.this_update)
        return ["delta" if plan.delta else "complete" for plan in plans]

    def complete(self) -> x509.CertificateRevocationList:
        return x509.load_der_x509_crl(self.newest.complete.der)

    def delta(self) -> x509.CertificateRevocationList:
        return x509.load_der_x509_crl(self.newest.delta.der)


def serials(crl: x509.CertificateRevocationList) -> set[int]:
    return {each.serial_number for each in crl}


def number(crl, kind=x509.CRLNumber) -> int:
    return crl.extensions.get_extension_for_class(kind).value.crl_number


def test_a_delta_carries_the_number_of_its_base_and_what_came_since():
    """RFC 5280, 5.2.3 (one numbering, growing), 5.2.4 BaseCRLNumber, 5.2.6 FreshestCRL."""
    ca = Ca()
    ca.index.add([revocation(1)])
    assert ca.make() == ["complete", "delta"]
    assert (number(ca.complete()), number(ca.delta()), serials(ca.delta())) == (1, 1, set())
    ca.index.add([revocation(2)])
    ca.now += HOUR
    assert ca.make() == ["delta"]
    assert (serials(ca.complete()), serials(ca.delta())) == ({1}, {2})
    assert (number(ca.delta()), number(ca.delta(), x509.DeltaCRLIndicator)) == (2, 1)
    (freshest,) = ca.complete().extensions.get_extension_for_class(x509.FreshestCRL).value
    assert freshest.full_name[0].value == PLACES.crl("issuing", EVERYTHING, delta=True)
    assert ca.make(force=True) == ["complete", "delta"]
    assert (serials(ca.complete()), number(ca.complete()), serials(ca.delta())) == ({1, 2}, 3, set())


def test_lists_are_made_anew_at_half_of_their_life_and_not_before():
    ca = Ca()
    ca.make()
    ca.now += HOUR - timedelta(seconds=1)
    assert ca.make() == []
    ca.now += timedelta(seconds=1)
    assert ca.make() == ["delta"]
    ca.now = NOW + 12 * HOUR
    assert ca.make() == ["complete", "delta"]
    assert ca.complete().next_update_utc == ca.now + SETTINGS.lifetime


def test_a_certificate_that_has_ended_stays_on_one_list_made_after_its_end():
    """RFC 5280, 3.3."""
    ca = Ca()
    ca.index.add([revocation(1, ends=NOW + HOUR), revocation(2)])
    on_lists = []
    for hours in (0, 12, 24, 36):
        ca.now = NOW + hours * HOUR
        ca.make()
        on_lists.append(serials(ca.complete()))
    assert on_lists == [{1, 2}, {1, 2}, {2}, {2}]


def test_one_that_had_ended_when_it_was_revoked_is_on_a_list_once():
    ca = Ca()
    ca.make()
    ca.index.add([revocation(1, ends=NOW - HOUR)])
    for hours, expected in ((12, {1}), (24, set())):
        ca.now = NOW + hours * HOUR
        ca.make()
        assert serials(ca.complete()) == expected


def test_a_shard_says_its_scope_critically_with_the_very_url_of_its_leaves():
    """RFC 5280, 5.2.5 and 4.2.1.13."""
    serial = 4711
    _, points, freshest = PLACES.pointers("issuing", serial)
    ca = Ca(PLACES.scope_of(serial))
    ca.index.add([revocation(serial), revocation(serial + 1)])
    ca.make()
    assert serials(ca.complete()) == {serial}
    for crl in (ca.complete(), ca.delta()):
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        assert scope.critical
        assert scope.value.full_name == next(iter(points)).full_name
    (where,) = ca.complete().extensions.get_extension_for_class(x509.FreshestCRL).value
    assert where.full_name == next(iter(freshest)).full_name
    everything = Ca()
    everything.make()
    with pytest.raises(x509.ExtensionNotFound):
        everything.complete().extensions.get_extension_for_class(x509.IssuingDistributionPoint)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_shard_that_moved_is_still_the_one_of_older_leaves(restarted):
    ca = Ca(Scope(4, 1))
    ca.make()
    if restarted:  # a list that was read back says where it is only in its DER
        ca.newest = replace(ca.newest, complete=replace(ca.newest.complete, scope_urls=None))
    ca.places = replace(PLACES, url="http://moved.test.internal")
    ca.make(force=True)
    for crl in (ca.complete(), ca.delta()):
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        assert [each.value for each in scope.full_name] == [
            ca.places.crl("issuing", ca.scope), PLACES.crl("issuing", ca.scope),
        ]  # fmt: skip


def test_nothing_is_signed_by_a_ca_that_has_ended():
    """2.5 local: nothing is ever signed with an expired issuer."""
    ca = Ca()
    end = AUTHORITY.issuer.certificate.not_after
    ca.now = end - timedelta(seconds=1)
    assert ca.make(force=True)
    assert ca.complete().next_update_utc == end
    assert lists.mesh_crl(AUTHORITY.issuer, [], number=1, sequence=0, now=ca.now)
    ca.now = end
    with pytest.raises(Refused, match="ended"):
        ca.make(force=True)
    with pytest.raises(Refused, match="ended"):
        lists.mesh_crl(AUTHORITY.issuer, [], number=1, sequence=0, now=end)


def test_the_meshs_list_holds_only_identities_that_have_not_ended():
    index = StatusIndex()
    index.add([
        revocation(1, identity=True, ends=NOW + HOUR), revocation(2, ends=NOW + HOUR),
        revocation(3, identity=True, ends=NOW + 3 * HOUR),
    ])  # fmt: skip

    def listed(now):
        made = lists.mesh_crl(AUTHORITY.issuer, index.identities("issuing", now), number=1, sequence=3, now=now)
        return serials(x509.load_der_x509_crl(made.der))

    assert listed(NOW) == {1, 3}
    assert listed(NOW + HOUR) == {3}


@given(st.integers(1, 1 << 126), st.integers(1, 256))
def test_every_serial_number_is_in_exactly_one_shard(serial, shards):
    places = replace(PLACES, shards=shards)
    assert [scope for scope in places.scopes() if scope.covers(serial)] == [EVERYTHING, places.scope_of(serial)]
    assert all(Scope.parse(scope.name) == scope for scope in places.scopes())


class ListsOverTime(RuleBasedStateMachine):
    """Whatever happens: base and delta together say all that is revoked, numbers grow, nothing vanishes too soon."""

    def __init__(self) -> None:
        super().__init__()
        self.ca = Ca()
        self.ends: dict[int, object] = {}
        self.complete_lists: list[tuple[object, set[int]]] = []
        self.number = 0

    @rule(hours=st.integers(-5, 60))
    def revoke(self, hours):
        serial = len(self.ends) + 1
        self.ends[serial] = self.ca.now + hours * HOUR
        self.ca.index.add([revocation(serial, self.ca.now, ends=self.ends[serial])])

    @rule(hours=st.sampled_from([0.3, 1, 5, 13]), force=st.booleans())
    def make(self, hours, force):
        self.ca.now += hours * HOUR
        made = self.ca.make(force=force)
        if made:
            assert self.ca.newest.number == self.number + 1
            self.number += 1
        if "complete" in made:
            self.complete_lists.append((self.ca.newest.complete.this_update, serials(self.ca.complete())))
        if self.ca.newest.complete:
            known = serials(self.ca.complete()) | serials(self.ca.delta())
            assert not made or {s for s, end in self.ends.items() if end >= self.ca.now} <= known

    @invariant()
    def each_was_on_a_list_after_its_end_before_it_left(self):
        for serial, end in self.ends.items():
            seen = [(made, serial in on) for made, on in self.complete_lists]
            first = next((i for i, (_, on) in enumerate(seen) if on), None)
            if first is None:
                continue
            for made, on in seen[first:]:
                if not on:
                    assert any(earlier > end and was for earlier, was in seen if earlier < made), serial


TestListsOverTime = ListsOverTime.TestCase
TestListsOverTime.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
