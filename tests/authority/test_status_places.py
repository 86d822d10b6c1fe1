"""What leaves say about their status."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handsel.authority import ca
from handsel.authority.model import Approval
from handsel.authority.status_places import StatusPlaces
from handsel.model.authority import Profile
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from tests.support import NOW

PLACES = StatusPlaces("http://status.test.internal", shards=8)
KEY = PrivateKey.generate().handle.public_key()


def leaf(authority, profile: Profile, places: StatusPlaces | None = PLACES):
    approval = Approval(Names(dns=("a.test",)), None, KEY, profile, profile.lifetime, "test")
    draft = ca.prepare(approval, authority.issuer, serial=4711, now=NOW, status=places)
    return draft.builder.sign(authority.issuer.key.handle, authority.issuer.key.digest)


def pointers(certificate) -> list[str]:
    found = []
    for each in certificate.extensions:
        if isinstance(each.value, x509.AuthorityInformationAccess):
            found += [access.access_location.value for access in each.value]
        if isinstance(each.value, x509.CRLDistributionPoints | x509.FreshestCRL):
            found += [point.full_name[0].value for point in each.value]
        assert each.critical == isinstance(
            each.value, x509.BasicConstraints | x509.KeyUsage | x509.SubjectAlternativeName
        )
    return found


def test_a_leaf_that_lives_long_says_where_its_status_is(authority):
    """RFC 5280, 4.2.2.1, 4.2.1.13, 4.2.1.15; 4711 modulo 8 is 7."""
    made = leaf(authority, Profile("web", timedelta(days=8)))
    assert pointers(made) == [
        "http://status.test.internal/ocsp", "http://status.test.internal/ca/issuing.crt",
        "http://status.test.internal/crl/issuing/7-of-8.crl", "http://status.test.internal/crl/issuing/7-of-8-delta.crl",
    ]  # fmt: skip
    access = made.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_method for each in access] == [
        AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("days", "wanted", "has"),
    [(7, None, False), (8, None, True), (1, True, True), (8, False, False)],
    ids=["a week", "longer", "wanted", "not wanted"],
)
def test_a_short_lived_one_needs_none_unless_its_profile_says_otherwise(authority, days, wanted, has):
    """2.3 local: profiles of 7 d or less need no CRL or OCSP pointer."""
    assert bool(pointers(leaf(authority, Profile("web", timedelta(days=days), pointers=wanted)))) is has


def test_without_a_place_nothing_is_said(authority):
    assert pointers(leaf(authority, Profile("web", timedelta(days=30)), None)) == []
