"""Private keys: read, written and hidden."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.keys import PrivateKey
from tests.support import mutations

KEY = PrivateKey.generate()
PEM = KEY.pem().reveal()


def _pem(handle, encryption=None) -> bytes:
    return handle.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


def test_a_key_is_read_back_as_it_was_written():
    assert PrivateKey.from_pem(PEM).public_der() == KEY.public_der()


def test_every_key_is_new():
    assert PrivateKey.generate().pin() != KEY.pin()


def test_a_key_hides_itself():
    secret_lines = PEM.decode().splitlines()[1:-1]
    assert not any(line in repr(KEY) + str(KEY) + repr(KEY.pem()) for line in secret_lines)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(_pem(ec.generate_private_key(ec.SECP384R1())), id="P-384"),
        pytest.param(_pem(ed25519.Ed25519PrivateKey.generate()), id="Ed25519"),
        pytest.param(_pem(rsa.generate_private_key(65537, 2048)), id="RSA"),
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
