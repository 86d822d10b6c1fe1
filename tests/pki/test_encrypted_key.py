"""Keys behind a password are read by OpenSSL and `cryptography`, with the password alone, and cost a guesser dearly."""

from __future__ import annotations

import re
import subprocess

import pytest

from handsel.pki.encrypted_key import ROUNDS
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.secret import Secret
from tests.support import key_of

PASSWORD = Secret("ein längeres Passwort".encode())


@pytest.mark.parametrize("kind", KeyType, ids=str)
def test_every_kind_of_key_comes_back_with_its_password_alone(kind):
    key = key_of(kind)
    pem = key.pem(PASSWORD).reveal()
    assert PrivateKey.from_pem(pem, PASSWORD).pin() == key.pin()
    for other in (None, Secret(b"another password")):
        with pytest.raises(ValueError, match="key"):
            PrivateKey.from_pem(pem, other)


def test_openssl_reads_it_and_finds_as_many_rounds_as_were_promised(tmp_path):
    file = tmp_path / "key.pem"
    file.write_bytes(key_of(KeyType.P256).pem(PASSWORD).reveal())
    (tmp_path / "password").write_bytes(PASSWORD.reveal())
    for password, code in (("file:password", 0), ("pass:wrong", 1)):
        command = ["openssl", "pkey", "-in", "key.pem", "-noout", "-passin", password]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == code
    parsed = subprocess.run(
        ["openssl", "asn1parse", "-in", "key.pem"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    rounds = re.search(r"INTEGER\s+:([0-9A-F]+)", parsed)
    assert rounds
    assert int(rounds[1], 16) == ROUNDS >= 600_000
    assert "aes-256-cbc" in parsed


def test_the_same_key_is_never_encrypted_in_the_same_way():
    key = key_of(KeyType.P256)
    assert key.pem(PASSWORD) != key.pem(PASSWORD)
