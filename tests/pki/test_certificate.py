"""Certificates as values: what they say, and that malformed ones are found out at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from tests.support import NOW, TRUST_DOMAIN, TestAuthority, mutations

WEB = TRUST_DOMAIN.workload("default", "web")
ROOT = TestAuthority.make().issuer.root


def _with_names(*names: x509.GeneralName, extension: bytes = b"") -> x509.Certificate:
    key = PrivateKey.generate().handle
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if extension:
        oid = x509.SubjectAlternativeName.oid
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_a_certificate_says_who_it_is_for(authority):
    pair = authority.pair(WEB, dns_names=("web.example",), ip_names=("10.0.0.7", "::1"))
    leaf = pair.leaf
    assert leaf.spiffe_id == WEB
    assert (leaf.dns_names, leaf.ip_names) == (["web.example"], ["10.0.0.7", "::1"])
    assert (leaf.not_before, leaf.not_after) == (NOW, NOW + timedelta(hours=1))
    assert leaf.public_key_der == pair.key.public_der()
    assert leaf.issuer == pair.chain[1].subject
    assert (leaf.is_ca, pair.chain[1].is_ca) == (False, True)


def test_a_certificate_is_its_bytes(authority):
    leaf = authority.pair(WEB).leaf
    assert Certificate(leaf.der) == leaf
    assert hash(Certificate(leaf.der)) == hash(leaf)
    assert authority.pair(WEB).leaf != leaf


def test_a_chain_in_pem_is_read_back_in_its_order(authority):
    chain = (*authority.pair(WEB).chain, authority.issuer.root)
    assert parse_pem(to_pem(chain)) == chain
    assert parse_pem(b"some words before\n" + to_pem(chain)) == chain


URI = x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    ("names", "identity"),
    [
        pytest.param([URI(str(WEB))], WEB, id="one"),
        pytest.param([URI(str(WEB)), x509.DNSName("web")], WEB, id="one beside a DNS name"),
        pytest.param([], None, id="none"),
        pytest.param([x509.DNSName("web")], None, id="no URI"),
        pytest.param([URI(str(WEB)), URI("spiffe://test.internal/b")], None, id="two"),
        pytest.param([URI(str(WEB)), URI("https://example/")], None, id="one beside another URI"),
        pytest.param([URI("https://example/")], None, id="another URI"),
        pytest.param([URI("spiffe://NOT a domain/")], None, id="no SPIFFE ID"),
    ],
)
def test_an_identity_is_the_one_and_only_uri_name(names, identity):
    assert Certificate.of(_with_names(*names)).spiffe_id == identity


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"", id="empty"),
        pytest.param(ROOT.der[:-1], id="cut off"),
        pytest.param(ROOT.der + b"\0", id="more behind it"),
        pytest.param(ROOT.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1), id="another version"),
    ],
)
def test_bytes_that_are_no_certificate_are_refused_at_once(der):
    with pytest.raises(ValueError):
        Certificate(der)


@pytest.mark.parametrize("extension", [b"junk", b"\x30\x04\xa3\x02\x30\x00"])
def test_a_certificate_with_malformed_names_is_refused_at_once(extension):
    with pytest.raises(ValueError):
        Certificate.of(_with_names(extension=extension))


@pytest.mark.filterwarnings("ignore::UserWarning")  # cryptography warns of odd values that it takes
@given(mutations(ROOT.der) | st.binary(max_size=100))
def test_what_was_taken_can_be_read(der):
    try:
        certificate = Certificate(der)
    except ValueError:
        return
    assert certificate.der == der
    assert isinstance(certificate.subject + certificate.issuer + certificate.serial + certificate.pin, str)
    assert certificate.not_before.tzinfo is certificate.not_after.tzinfo
    assert isinstance(certificate.dns_names + certificate.ip_names, list)
    assert certificate.is_ca in (True, False)
    assert certificate.spiffe_id is None or str(certificate.spiffe_id) in certificate.uri_names


@pytest.mark.parametrize("pem", [b"", b"no PEM", to_pem((ROOT,))[:200]])
def test_a_pem_without_a_whole_certificate_is_refused(pem):
    with pytest.raises(ValueError):
        parse_pem(pem)


def test_a_name_with_a_bit_string_where_it_has_none_is_malformed():
    """`cryptography` raises a TypeError for it; found by fuzzing."""
    name_constraints = (  # permitted: a directory name whose UTF8 string was turned into a bit string
        "3043a02d3010a40e300c310a30080603550c0403016130 0c810a622e696e7465726e616c300b86092e696e7465726e616c"
        "a112300aa00806023a03a0020500300488022a03"
    )
    value = bytes.fromhex(name_constraints)
    key = PrivateKey.generate()
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.handle.public_key(), 1, NOW, NOW)
    extension = x509.UnrecognizedExtension(x509.oid.ExtensionOID.NAME_CONSTRAINTS, value)
    with pytest.raises(ValueError):
        Certificate.of(builder.add_extension(extension, critical=True).sign(key.handle, key.digest))
