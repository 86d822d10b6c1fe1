"""Certificate requests: whoever sends one holds its key; which names and keys are given is decided elsewhere."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki import csr
from handsel.pki.keys import KeyType, PrivateKey, public_der
from handsel.pki.names import Names
from tests.support import TRUST_DOMAIN, key_of, mutations

KEY = PrivateKey.generate()
WEB = TRUST_DOMAIN.workload("default", "web")
REQUEST = csr.build(KEY, WEB)
URI = x509.UniformResourceIdentifier
EMPTY = x509.Name([])


TWICE = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("a", "b")])


def _request(*names: x509.GeneralName, key=None, extension: bytes = b"", subject=EMPTY) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    if extension:
        oid = x509.SubjectAlternativeName.oid
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=True)
    return builder.sign(key or KEY.handle, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("identity", [WEB, None])
def test_a_request_is_read_back_as_it_was_built(identity):
    read = csr.parse(csr.build(KEY, identity))
    assert read.names == (Names(uri=(str(identity),)) if identity else Names())
    assert (read.public_key_der, read.kind, read.common_name) == (KEY.public_der(), KeyType.P256, None)


@pytest.mark.parametrize("kind", KeyType)
def test_a_request_may_be_made_with_a_key_of_every_kind(kind):
    key = key_of(kind)
    names = Names(dns=("*.web.example", "web"), ip=("10.0.0.7", "::1"), uri=(str(WEB),), mail=("a@web.example",))
    read = csr.parse(csr.build_for(key, names))
    assert (read.names, read.kind, read.public_key_der) == (names, kind, key.public_der())
    assert public_der(read.public_key) == key.public_der()


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ([URI(str(WEB))], Names(uri=(str(WEB),))),
        ([URI(str(WEB)), URI("spiffe://test.internal/b")], Names(uri=(str(WEB), "spiffe://test.internal/b"))),
        ([x509.DNSName("Web.Example"), URI(str(WEB))], Names(dns=("web.example",), uri=(str(WEB),))),
        ([URI("https://test.internal/")], Names(uri=("https://test.internal/",))),
        ([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], Names(other=1)),
    ],
)
def test_a_request_made_elsewhere_is_read_with_all_its_names(asked, names):
    assert csr.parse(_request(*asked)).names == names


def test_a_request_says_its_common_name_beside_its_names():
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.example")])
    read = csr.parse(_request(x509.DNSName("other.example"), subject=subject))
    assert (read.common_name, read.names) == ("web.example", Names(dns=("other.example",)))


def test_a_request_signed_by_another_key_is_refused():
    theirs, ours = csr.build(PrivateKey.generate(), WEB), REQUEST
    # Our key and names with their signature, which has the last 72 bytes at most.
    assert csr.parse(theirs)
    with pytest.raises(ValueError):
        csr.parse(ours[:-40] + theirs[-40:])


@pytest.mark.parametrize(
    ("request_der", "reason"),
    [
        pytest.param(_request(key=ec.generate_private_key(ec.SECP521R1())), "secp521r1", id="P-521"),
        pytest.param(_request(key=rsa.generate_private_key(65537, 1024)), "2048 to 4096", id="RSA 1024"),
        pytest.param(_request(x509.DNSName("-web-")), "no DNS name", id="a DNS name that is none"),
        pytest.param(_request(*[x509.DNSName(f"a{n}") for n in range(101)]), "at most 100 names", id="many names"),
        pytest.param(_request(subject=TWICE), "at most one common name", id="two common names"),
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
    assert (read.names, read.public_key_der) == (Names(uri=(str(WEB),)), KEY.public_der())
    assert (read.kind, read.common_name) == (KeyType.P256, None)
