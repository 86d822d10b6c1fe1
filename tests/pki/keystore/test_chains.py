"""Certificates in a heap joined into chains: by names, by key identifiers, and by signatures where those do not tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.keystore import StoredCertificate
from handsel.pki.keystore.chains import Heap
from tests.support import mutations

NOW = datetime(2030, 1, 1, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey


def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(subject: str, own: Key, issuer: str, above: Key, *, identified: bool = True) -> StoredCertificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (issuer, subject)]
    builder = x509.CertificateBuilder(*names, own.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    if identified:
        identifiers = (
            x509.SubjectKeyIdentifier.from_public_key(own.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()),
        )
        for each in identifiers:
            builder = builder.add_extension(each, critical=False)
    return StoredCertificate(builder.sign(above, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


ROOT, LEAF = key(), key()


@pytest.mark.parametrize("identified", [True, False])
@pytest.mark.parametrize("others", [0, 3, 100])
def test_of_issuers_of_one_name_the_right_one_is_taken(identified, others):
    """A CA that has had many keys; where no identifier tells them apart the signature does, for the first few."""
    leaf = certificate("leaf", LEAF, "ca", ROOT, identified=identified)
    root = certificate("ca", ROOT, "ca", ROOT, identified=identified)
    same_name = [certificate("ca", made, "ca", made, identified=identified) for made in [key()] * others]
    chain = Heap([leaf, *same_name, root]).chain(leaf)
    if identified or others < 8:
        assert chain == (leaf, root)
    else:
        assert len(chain) == 2


def test_another_key_of_the_same_name_is_no_issuer():
    leaf = certificate("leaf", LEAF, "ca", ROOT)
    made = key()
    assert Heap([leaf, certificate("ca", made, "ca", made)]).chain(leaf) == (leaf,)
    silent = certificate("ca", made, "ca", made, identified=False)  # it may be: nothing says that it is not
    assert Heap([leaf, silent]).chain(leaf) == (leaf, silent)


def test_two_that_issued_each_other_end():
    first, second = certificate("a", LEAF, "b", ROOT), certificate("b", ROOT, "a", LEAF)
    assert Heap([first, second]).chain(first) == (first, second)
    assert Heap([first]).chain(first) == (first,)


@given(st.lists(mutations(certificate("a", LEAF, "b", ROOT).der), max_size=4))
def test_damage_joins_nothing_and_raises_nothing(damaged):
    heap = Heap([*(StoredCertificate(each) for each in damaged), certificate("b", ROOT, "b", ROOT)])
    for each in damaged:
        assert heap.chain(StoredCertificate(each))[0].der == each
