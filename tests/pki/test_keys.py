"""Private keys: read, written and hidden."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.keys import KeyType, PrivateKey, kind_of
from handsel.pki.secret import Secret
from tests.support import key_of, mutations

KEY = PrivateKey.generate()
PEM = KEY.pem().reveal()


def _pem(handle, encryption=None) -> bytes:
    return handle.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


@pytest.mark.parametrize("kind", KeyType)
def test_a_key_is_read_back_as_it_was_written(kind):
    key = key_of(kind)
    read = PrivateKey.from_pem(key.pem().reveal())
    assert (read.kind, read.public_der()) == (kind, key.public_der())


@pytest.mark.parametrize("kind", KeyType)
def test_a_key_under_a_password_is_read_back_with_it_alone(kind):
    key, password = key_of(kind), Secret(b"a password")
    pem = key.pem(password).reveal()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert PrivateKey.from_pem(pem, password).public_der() == key.public_der()
    for wrong in (None, Secret(b"another"), Secret(b"")):
        with pytest.raises(ValueError):
            PrivateKey.from_pem(pem, wrong)


def test_a_password_for_a_key_that_has_none_is_refused():
    with pytest.raises(ValueError, match="cannot be read"):
        PrivateKey.from_pem(PEM, Secret(b"a password"))


@pytest.mark.parametrize("kind", KeyType)
def test_a_key_knows_its_kind_and_makes_signatures_that_hold(authority, kind):
    key = key_of(kind)
    assert kind_of(key.handle.public_key()) is key.kind is kind
    leaf = authority.pair(authority.trust_domain.server, key=key).leaf
    assert leaf.public_key_der == key.public_der()


def test_a_key_is_of_the_usual_kind_unless_told_otherwise():
    assert KEY.kind is KeyType.P256


def _rsa(bits: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key()


@pytest.mark.parametrize(
    ("bits", "kind"),
    [
        (2048, KeyType.RSA2048),
        (3071, KeyType.RSA2048),
        (3072, KeyType.RSA3072),
        (4095, KeyType.RSA3072),
        (4096, KeyType.RSA4096),
    ],
)
def test_an_rsa_key_is_of_the_largest_kind_that_it_reaches(bits, kind):
    assert kind_of(_rsa(bits)) is kind


DSA = dsa.generate_private_key(1024)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param(ec.generate_private_key(ec.SECP521R1()).public_key(), "secp521r1", id="P-521"),
        pytest.param(ec.generate_private_key(ec.SECP256K1()).public_key(), "secp256k1", id="another curve"),
        pytest.param(_rsa(1024), "2048 to 4096 bits here, not 1024", id="RSA 1024"),
        pytest.param(_rsa(2047), "not 2047", id="RSA 2047"),
        pytest.param(_rsa(4097), "not 4097", id="RSA 4097"),
        pytest.param(_rsa(8192), "not 8192", id="RSA 8192"),
        pytest.param(DSA.public_key(), "of this kind", id="DSA"),
        pytest.param(ed448.Ed448PrivateKey.generate().public_key(), "of this kind", id="Ed448"),
        pytest.param(x25519.X25519PrivateKey.generate().public_key(), "of this kind", id="X25519"),
    ],
)
def test_no_other_kind_of_key_is_used(key, reason):
    with pytest.raises(ValueError, match=reason):
        kind_of(key)


def test_every_key_is_new():
    assert PrivateKey.generate().pin() != KEY.pin()


def test_a_key_hides_itself():
    secret_lines = PEM.decode().splitlines()[1:-1]
    assert not any(line in repr(KEY) + str(KEY) + repr(KEY.pem()) for line in secret_lines)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(_pem(ec.generate_private_key(ec.SECP521R1())), id="P-521"),
        pytest.param(_pem(rsa.generate_private_key(65537, 1024)), id="RSA 1024"),
        pytest.param(_pem(DSA), id="DSA"),
        pytest.param(_pem(x25519.X25519PrivateKey.generate()), id="X25519"),
        pytest.param(_pem(KEY.handle, serialization.BestAvailableEncryption(b"secret")), id="encrypted"),
        pytest.param(b"", id="empty"),
        pytest.param(PEM[: len(PEM) // 2], id="cut off"),
    ],
)
def test_no_other_key_is_taken(pem):
    with pytest.raises(ValueError):
        PrivateKey.from_pem(pem)


@given(mutations(PEM) | st.binary(max_size=200))
def test_a_damaged_key_is_refused_in_order(pem):
    with contextlib.suppress(ValueError):
        PrivateKey.from_pem(pem)


def test_a_pin_belongs_to_the_key_and_not_to_one_writing_of_it(authority):
    pair = authority.pair(authority.trust_domain.server, key=KEY)
    assert pair.leaf.pin == KEY.pin()
    assert pair.leaf.pin != authority.pair(authority.trust_domain.server).leaf.pin
