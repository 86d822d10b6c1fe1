"""OCSP messages, against `cryptography`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as reference
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority.va import responder as va
from handsel.pki import ocsp
from handsel.pki.keys import PrivateKey
from tests.support import NOW, TRUST_DOMAIN, mutations

UNTIL = NOW + timedelta(hours=1)
HASHES = [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]
NONCE = 16 * b"n"


@pytest.fixture(scope="session")
def leaf(authority):
    return authority.pair(TRUST_DOMAIN.workload("default", "web")).chain[0]


@pytest.fixture(scope="session")
def signer(authority):
    intent = va.intend(authority.issuer, PrivateKey.generate(), serial=4711, now=NOW)
    return va.issue(intent, now=NOW).answer


def asked(leaf, authority, digest=None, nonce: bytes | None = None) -> bytes:
    """A request as `cryptography` writes it."""
    builder = reference.OCSPRequestBuilder().add_certificate(
        leaf.parsed, authority.issuer.certificate.parsed, digest or hashes.SHA1()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


@pytest.mark.parametrize("digest", HASHES, ids=lambda each: each.name)
def test_the_certificate_is_named_by_any_usual_hash(leaf, authority, digest):
    """RFC 6960, 4.1.1: SHA-1 and SHA-256."""
    (found,) = ocsp.parse(asked(leaf, authority, digest)).asked
    assert found.serial == leaf.parsed.serial_number
    assert found.issuer in ocsp.issuer_ids(authority.issuer.certificate)
    assert found.issuer not in ocsp.issuer_ids(authority.issuer.root)
    assert ocsp.request([ocsp.cert_id(authority.issuer.certificate, found.serial, digest.name)]) == asked(
        leaf, authority, digest
    )


@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, True), (16, True), (32, True), (128, True), (129, False)])
def test_a_nonce_has_1_to_128_octets(leaf, authority, length, fits):
    """RFC 9654, 2.1."""
    request = asked(leaf, authority, nonce=b"x" * length)
    if fits:
        assert ocsp.parse(request).nonce == b"x" * length
    else:
        with pytest.raises(ValueError, match="RFC 9654"):
            ocsp.parse(request)


def test_a_request_asks_about_several_certificates_but_not_about_any_number(authority):
    """RFC 6960, 4.1.1."""
    ids = [ocsp.cert_id(authority.issuer.certificate, serial) for serial in range(1, ocsp.MOST_CERTIFICATES + 2)]
    assert [each.serial for each in ocsp.parse(ocsp.request(ids[:-1])).asked] == list(range(1, len(ids)))
    with pytest.raises(ValueError, match="at most"):
        ocsp.parse(ocsp.request(ids))
    with pytest.raises(ValueError, match="nothing"):
        ocsp.parse(ocsp.request([]))


def test_a_critical_extension_that_is_not_known_is_not_passed_over(leaf, authority):
    def request(critical):
        builder = reference.OCSPRequestBuilder().add_certificate(
            leaf.parsed, authority.issuer.certificate.parsed, hashes.SHA256()
        )
        strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        return builder.add_extension(strange, critical=critical).build().public_bytes(Encoding.DER)

    assert ocsp.parse(request(critical=False)).nonce is None
    with pytest.raises(ValueError, match="critical"):
        ocsp.parse(request(critical=True))


@given(data=st.data())
def test_bytes_that_are_nearly_a_request_are_a_request_or_malformed(leaf, authority, data):
    changed = data.draw(mutations(asked(leaf, authority, nonce=NONCE)))
    try:
        found = ocsp.parse(changed)
    except ValueError:
        return
    assert found.asked


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ocsp.Status(), reference.OCSPCertStatus.GOOD),
        (ocsp.Status(known=False), reference.OCSPCertStatus.UNKNOWN),
        (ocsp.Status(revoked_at=NOW), reference.OCSPCertStatus.REVOKED),
        (ocsp.Status(revoked_at=NOW, reason=4), reference.OCSPCertStatus.REVOKED),
    ],
    ids=["good", "unknown", "revoked", "with a reason"],
)
def test_a_response_says_how_a_certificate_stands(leaf, authority, signer, status, expected):
    query = ocsp.parse(asked(leaf, authority, nonce=NONCE))
    made = ocsp.response([(query.asked[0], status)], signer, now=NOW, until=UNTIL, nonce=query.nonce)
    read = reference.load_der_ocsp_response(made)
    assert read.response_status is reference.OCSPResponseStatus.SUCCESSFUL
    assert (read.certificate_status, read.serial_number) == (expected, leaf.parsed.serial_number)
    assert (read.this_update_utc, read.next_update_utc, read.produced_at_utc) == (NOW, UNTIL, NOW)
    assert read.revocation_time_utc == status.revoked_at
    assert (read.revocation_reason is None) == (status.reason == 0)
    assert read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == NONCE


def test_the_responder_is_named_by_its_key_and_is_a_delegate_of_the_ca(leaf, authority, signer):
    """RFC 6960, 4.2.1 byKey, 4.2.2.2 delegate with OCSPSigning of the same CA, 4.2.2.2.1 nocheck."""
    query = ocsp.parse(asked(leaf, authority))
    read = reference.load_der_ocsp_response(
        ocsp.response([(query.asked[0], ocsp.Status())], signer, now=NOW, until=UNTIL, nonce=None)
    )
    (delegate,) = read.certificates
    assert read.responder_name is None
    assert read.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(delegate.public_key()).digest
    delegate.verify_directly_issued_by(authority.issuer.certificate.parsed)
    delegate.public_key().verify(read.signature, read.tbs_response_bytes, _ecdsa())
    usages = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)


def test_one_response_answers_for_several_certificates(authority, signer):
    ids = [ocsp.cert_id(authority.issuer.certificate, serial) for serial in (1, 2, 3)]
    statuses = [ocsp.Status(), ocsp.Status(revoked_at=NOW), ocsp.Status(known=False)]
    made = ocsp.response(list(zip(ids, statuses, strict=True)), signer, now=NOW, until=UNTIL, nonce=None)
    read = list(reference.load_der_ocsp_response(made).responses)
    assert [each.serial_number for each in read] == [1, 2, 3]
    assert [each.certificate_status.name for each in read] == ["GOOD", "REVOKED", "UNKNOWN"]


@pytest.mark.parametrize("why", list(ocsp.Problem))
def test_why_there_is_no_answer_is_said_without_a_signature(why):
    read = reference.load_der_ocsp_response(ocsp.problem(why))
    assert read.response_status.value == why


def _ecdsa():
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256())
