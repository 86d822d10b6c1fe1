"""What the authority signs, read by another's eyes: `cryptography`'s own path validation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from handsel.authority import ca
from handsel.authority.service import random_serial
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from tests.ca_keys import ca_key
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

WEB = TRUST_DOMAIN.workload("default", "web")


def _verifier(root: Certificate, moment=NOW):
    store = verification.Store([root.parsed])
    return verification.PolicyBuilder().store(store).time(moment).max_chain_depth(1).build_client_verifier()


def _extension(certificate: Certificate, kind):
    return certificate.parsed.extensions.get_extension_for_class(kind)


def test_a_leaf_is_valid_below_its_root_while_it_lives(authority):
    pair = authority.pair(WEB)
    chain = [each.parsed for each in pair.chain]
    verified = _verifier(authority.issuer.root).verify(chain[0], chain[1:])
    assert [name.value for name in verified.subjects] == [str(WEB)]
    for moment in (NOW - timedelta(minutes=5), NOW + timedelta(hours=1, seconds=1)):
        with pytest.raises(verification.VerificationError):
            _verifier(authority.issuer.root, moment).verify(chain[0], chain[1:])


def test_a_leaf_is_not_valid_below_another_root(authority):
    pair = authority.pair(WEB)
    with pytest.raises(verification.VerificationError):
        _verifier(TestAuthority.make().issuer.root).verify(pair.leaf.parsed, [authority.issuer.certificate.parsed])


def test_a_leaf_can_be_client_and_server_and_cannot_sign(authority):
    leaf = authority.pair(WEB).leaf
    usage = _extension(leaf, x509.KeyUsage).value
    assert set(_extension(leaf, x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not usage.crl_sign
    assert not leaf.is_ca


def test_the_identity_is_the_only_name_of_a_leaf(authority):
    leaf = authority.pair(WEB).leaf
    assert leaf.parsed.subject == x509.Name([])
    names = _extension(leaf, x509.SubjectAlternativeName)
    assert names.critical  # RFC 5280, 4.2.1.6, for an empty subject
    assert [name.value for name in names.value] == [str(WEB)]


def test_a_workload_that_signs_is_believed_by_nobody(authority):
    """A stolen workload key makes no other identity."""
    thief = authority.pair(WEB)
    victim = PrivateKey.generate()
    forged = ca.make_issuing(TRUST_DOMAIN, victim, thief.leaf, thief.key, serial=random_serial(), now=NOW)
    chain = [thief.leaf.parsed, authority.issuer.certificate.parsed]
    with pytest.raises(verification.VerificationError):
        _verifier(authority.issuer.root).verify(forged.parsed, chain)


def test_an_issuing_ca_signs_leaves_and_no_further_ca(authority):
    constraints = _extension(authority.issuer.certificate, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    root = _extension(authority.issuer.root, x509.BasicConstraints)
    assert (root.critical, root.value.ca, root.value.path_length) == (True, True, 2)


def test_every_certificate_points_to_the_key_that_signed_it(authority):
    leaf, issuing = authority.pair(WEB).chain
    root = authority.issuer.root
    for child, parent in ((leaf, issuing), (issuing, root)):
        points_to = _extension(child, x509.AuthorityKeyIdentifier).value.key_identifier
        assert points_to == _extension(parent, x509.SubjectKeyIdentifier).value.digest
        child.parsed.verify_directly_issued_by(parent.parsed)


def test_a_ca_carries_its_trust_domain_and_no_workload(authority):
    for certificate in (authority.issuer.certificate, authority.issuer.root):
        assert certificate.uri_names == ["spiffe://test.internal"]


def test_an_issuing_ca_never_outlives_its_root():
    key = ca_key()
    root = ca.make_root(TRUST_DOMAIN, key, serial=1, now=NOW)
    late = root.not_after - timedelta(days=10)
    for now, ends in ((NOW, NOW + ca.ISSUING_LIFETIME), (late, root.not_after)):
        issuing = ca.make_issuing(TRUST_DOMAIN, ca_key(), root, key, serial=2, now=now)
        assert issuing.not_after == ends


def test_the_longest_trust_domain_can_have_an_authority():
    longest = TrustDomain("x" * 255)
    authority = TestAuthority.make(trust_domain=longest)
    assert authority.pair(longest.workload("default", "web")).leaf.spiffe_id == longest.workload("default", "web")
