"""Revocation lists, against the builder of `cryptography` and against OpenSSL and GnuTLS."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ca
from handsel.authority.service import random_serial
from handsel.pki.certificate import to_pem
from handsel.pki.keys import KeyType
from handsel.pki.revocation import ListHead, entry, make_list
from tests.support import NOW, TRUST_DOMAIN, key_of

URL = "http://ca.test.internal:8880/crl/issuing/0-of-4.crl"
REASONS = {0: None, 1: x509.ReasonFlags.key_compromise, 4: x509.ReasonFlags.superseded}
moments = st.integers(631152000, 3786912000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 1990 to 2089
revoked = st.tuples(st.integers(1, (1 << 159) - 1), moments, st.sampled_from(sorted(REASONS)))


def issuer_of(kind: KeyType):
    key = key_of(kind)
    return ca.make_root(TRUST_DOMAIN, key, serial=random_serial(), now=NOW), key


def built(head: ListHead, entries, issuer, key) -> x509.CertificateRevocationList:
    """The same list by the builder of `cryptography`."""
    made = []
    for serial, at, reason in entries:
        builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
        if REASONS[reason]:
            builder = builder.add_extension(x509.CRLReason(REASONS[reason]), critical=False)
        made.append(builder.build())
    name = issuer.parsed.subject
    builder = x509.CertificateRevocationListBuilder(name, head.this_update, head.next_update, revoked_certificates=made)
    key_id = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False
    ).add_extension(x509.CRLNumber(head.number), critical=False)
    if head.base_number is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(head.base_number), critical=True)
    if head.scope_urls:
        where = [x509.UniformResourceIdentifier(each) for each in head.scope_urls]
        point = x509.IssuingDistributionPoint(where, None, False, False, None, False, False)
        builder = builder.add_extension(point, critical=True)
    if head.delta_url is not None:
        where = [x509.UniformResourceIdentifier(head.delta_url)]
        builder = builder.add_extension(x509.FreshestCRL([x509.DistributionPoint(where, None, None, None)]), False)
    return builder.sign(key.handle, key.digest)


@given(
    entries=st.lists(revoked, max_size=5, unique_by=lambda each: each[0]),
    head=st.builds(
        ListHead, st.integers(0, 1 << 64), moments, st.just(datetime(2091, 1, 1, tzinfo=UTC)),
        st.none() | st.integers(0, 1 << 64), st.sampled_from([(), (URL,), (URL, f"{URL}x")]), st.none() | st.just(URL),
    ),
)  # fmt: skip
def test_every_list_is_what_the_builder_would_make_byte_for_byte(entries, head):
    """5.1.2.1 version 2, 5.1.2.5 nextUpdate, 5.2.1, 5.2.3, 5.2.4, 5.2.5, 5.2.6 and 5.3.1: all of it is compared."""
    issuer, key = issuer_of(KeyType.P256)
    made = x509.load_der_x509_crl(make_list(head, [entry(*each) for each in entries], issuer, key))
    assert made.tbs_certlist_bytes == built(head, entries, issuer, key).tbs_certlist_bytes
    assert made.is_signature_valid(issuer.parsed.public_key())


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_list_is_signed_by_every_kind_of_key(kind):
    issuer, key = issuer_of(kind)
    head = ListHead(1, NOW, NOW + timedelta(days=1))
    made = x509.load_der_x509_crl(make_list(head, [entry(7, NOW, 1)], issuer, key))
    reference = built(head, [(7, NOW, 1)], issuer, key)
    assert made.signature_algorithm_oid == reference.signature_algorithm_oid
    assert made.tbs_certlist_bytes == reference.tbs_certlist_bytes
    assert made.is_signature_valid(issuer.parsed.public_key())
    other = issuer_of(KeyType.P384 if kind is not KeyType.P384 else KeyType.P256)[0]
    assert not made.is_signature_valid(other.parsed.public_key())


def test_a_reason_is_on_the_list_unless_it_is_unspecified():
    """RFC 5280, 5.3.1."""
    issuer, key = issuer_of(KeyType.P256)
    entries = [entry(1, NOW, 0), entry(2, NOW, 9)]
    made = x509.load_der_x509_crl(make_list(ListHead(1, NOW, NOW + timedelta(days=1)), entries, issuer, key))
    without, with_reason = made
    assert len(without.extensions) == 0
    reason = with_reason.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.privilege_withdrawn


@pytest.mark.parametrize("tool", ["openssl", "certtool"])
def test_other_programs_read_it_and_believe_its_signature(tmp_path, tool):
    if not shutil.which(tool):
        pytest.skip(f"needs {tool}")
    issuer, key = issuer_of(KeyType.P256)
    head = ListHead(5, NOW, NOW + timedelta(days=1), scope_urls=(URL,), delta_url=URL)
    (tmp_path / "list.crl").write_bytes(make_list(head, [entry(0x4711, NOW, 1)], issuer, key))
    (tmp_path / "ca.pem").write_bytes(to_pem((issuer,)))
    command = {
        "openssl": ["openssl", "crl", "-inform", "DER", "-in", "list.crl", "-CAfile", "ca.pem", "-noout", "-text"],
        "certtool": ["certtool", "--crl-info", "--inder", "--infile", "list.crl"],
    }[tool]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = (done.stdout + done.stderr).lower()
    assert "4711" in said
    assert "verify ok" in said or tool == "certtool"
    assert "compromise" in said or tool == "certtool"
