"""Certificate requests: whoever sends one holds its key, and asks for at most one name."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from tests.support import TRUST_DOMAIN, mutations

KEY = PrivateKey.generate()
WEB = TRUST_DOMAIN.workload("default", "web")
REQUEST = csr.build(KEY, WEB)
URI = x509.UniformResourceIdentifier


def _request(*names: x509.GeneralName, key=None, extension: bytes = b"") -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    if extension:
        oid = x509.SubjectAlternativeName.oid
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=True)
    return builder.sign(key or KEY.handle, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("identity", [WEB, None])
def test_a_request_is_read_back_as_it_was_built(identity):
    read = csr.parse(csr.build(KEY, identity))
    assert (read.identity, read.public_key_der) == (identity, KEY.public_der())


def test_a_request_made_elsewhere_is_read_too():
    assert csr.parse(_request(URI(str(WEB)))).identity == WEB


def test_a_request_signed_by_another_key_is_refused():
    theirs, ours = csr.build(PrivateKey.generate(), WEB), REQUEST
    # Our key and names with their signature, which has the last 72 bytes at most.
    assert csr.parse(theirs)
    with pytest.raises(ValueError):
        csr.parse(ours[:-40] + theirs[-40:])


@pytest.mark.parametrize(
    ("request_der", "reason"),
    [
        pytest.param(_request(URI(str(WEB)), URI("spiffe://test.internal/b")), "exactly one name", id="two names"),
        pytest.param(_request(URI(str(WEB)), x509.DNSName("web")), "exactly one name", id="a DNS name beside"),
        pytest.param(_request(x509.DNSName("web")), "exactly one name", id="a DNS name"),
        pytest.param(_request(URI("https://test.internal/")), "SPIFFE ID", id="another URI"),
        pytest.param(_request(key=ec.generate_private_key(ec.SECP384R1())), "P-256", id="P-384"),
        pytest.param(_request(key=rsa.generate_private_key(65537, 2048)), "P-256", id="RSA"),
        pytest.param(_request(extension=b"\x30\x04\xa3\x02\x30\x00"), "malformed", id="a kind of name nobody knows"),
        pytest.param(_request(extension=b"junk"), None, id="names that are none"),
        pytest.param(REQUEST.replace(b"\x02\x01\x00", b"\x02\x01\x05", 1), "version", id="another version"),
        pytest.param(REQUEST + b"\0" * csr.MAXIMUM_BYTES, "at most", id="too large"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_no_other_request_is_taken(request_der, reason):
    with pytest.raises(ValueError, match=reason):
        csr.parse(request_der)


@given(mutations(REQUEST) | st.binary(max_size=200))
def test_a_damaged_request_never_passes_as_another(request_der):
    try:
        read = csr.parse(request_der)
    except ValueError:
        return
    assert (read.identity, read.public_key_der) == (WEB, KEY.public_der())
