"""Encryption with passwords: each scheme against another program's, and derivations against the standards' numbers."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import StorePasswordWrong, StoreRefused
from handsel.pki import der
from handsel.pki.keystore import Integrity, derivation, pbe, rc2
from handsel.pki.keystore import pkcs12_bags as form
from handsel.pki.keystore.derivation import Derivation, Derivations, Spelling, derive, spellings
from handsel.pki.keystore.model import MOST_ROUNDS
from handsel.pki.secret import Secret
from tests.pki.keystore.pkcs12_tools import data_part, encrypted_part, file_of, octets, opened, pbes2

_EIGHT = st.binary(min_size=8, max_size=8)


# RC2


@given(st.binary(min_size=16, max_size=16), _EIGHT, st.lists(_EIGHT, max_size=5).map(b"".join))
def test_rc2_of_128_bits_is_that_of_the_library(key, vector, hidden):
    assert rc2.decrypt_cbc(key, vector, hidden) == Cipher(RC2(key), CBC(vector)).decryptor().update(hidden)


@pytest.mark.parametrize(
    ("key", "plain", "hidden"),
    [
        # RFC 2268, section 5, those whose effective bits are all of the key's
        ("ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"),
        ("3000000000000000", "1000000000000001", "30649edf9be7d2c2"),
        ("88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"),
    ],
)
def test_rc2_of_the_standard(key, plain, hidden):
    assert rc2.decrypt_cbc(bytes.fromhex(key), bytes(8), bytes.fromhex(hidden)).hex() == plain


# Derivations


def test_the_derivation_of_pkcs12_over_several_blocks():
    """The key of 3DES takes two blocks of SHA-1, whose second comes from the first; the numbers are OpenSSL's."""
    wide = "smeg".encode("utf-16-be") + b"\0\0"
    key = derivation.pkcs12("sha1", 1, wide, bytes.fromhex("0a58cf64530d823f"), 1, 24)
    assert key.hex() == "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"
    assert derivation.pkcs12("sha1", 2, wide, bytes.fromhex("0a58cf64530d823f"), 1, 8).hex() == "79993dfe048d3b76"


def test_scrypt_is_that_of_the_library():
    wanted = Derivation("scrypt", "", b"salt", 1024, 32, parallel=(8, 2))
    theirs = Scrypt(salt=b"salt", length=32, n=1024, r=8, p=2).derive(b"password")
    assert derive(wanted, Spelling(b"", b"password")) == theirs


def test_pbkdf1_and_openssls_own():
    assert (
        derive(Derivation("pbkdf1", "md5", b"salt", 2, 16), Spelling(b"", b"pw"))
        == hashlib.md5(hashlib.md5(b"pwsalt").digest()).digest()
    )
    first = hashlib.md5(b"pwsalt").digest()
    second = hashlib.md5(first + b"pwsalt").digest()
    assert derive(Derivation("openssl", "md5", b"salt", 1, 24), Spelling(b"", b"pw")) == (first + second)[:24]


def test_a_key_is_made_once_a_password(monkeypatch):
    made = []
    monkeypatch.setattr(derivation, "derive", lambda wanted, spelling: made.append((wanted, spelling)) or b"key")
    several, wanted = Derivations(), Derivation("pbkdf2", "sha256", b"salt", 10, 32)
    first, second = spellings(Secret(b""))
    for spelling in (first, first, second, second):
        assert several.key(wanted, spelling) == b"key"
    assert made == [(wanted, first), (wanted, second)]


def test_the_sum_counts_blocks_of_the_hash():
    """SHA-1 makes 32 bytes in two blocks, each of all the rounds."""
    half = MOST_ROUNDS // 2
    Derivations().plan(Derivation("pbkdf2", "sha256", b"salt", 2 * half, 32))
    Derivations().plan(Derivation("pbkdf2", "sha1", b"salt", half, 32))
    with pytest.raises(StoreRefused, match="rounds of key derivation"):
        Derivations().plan(Derivation("pbkdf2", "sha1", b"salt", half + 1, 32))


def test_spellings_of_a_password():
    assert spellings(Secret(b"ab")) == (Spelling(b"\0a\0b\0\0", b"ab"),)
    assert [each.wide for each in spellings(Secret(b""))] == [b"\0\0", b""]
    assert [each.wide for each in spellings(Secret("ä".encode()))] == [b"\0\xe4\0\0", b"\0\xc3\0\xa4\0\0"]
    assert [each.wide for each in spellings(Secret(b"\xff"))] == [b"\0\xff\0\0"]


# Schemes


def _scheme(*parts: bytes) -> pbe.Scheme:
    return pbe.read_scheme(der.Reader(b"".join(parts)))


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        (der.oid("1.2.3.4"), "the encryption 1.2.3.4"),
        (pbes2(1).replace(der.oid("1.2.840.113549.1.5.12"), der.oid("1.2.840.113549.1.5.99")), "the key derivation"),
        (pbes2(1).replace(der.oid("2.16.840.1.101.3.4.1.42"), der.oid("2.16.840.1.101.3.4.1.99")), "the cipher 2.16"),
        (pbes2(1).replace(der.oid("1.2.840.113549.2.9"), der.oid("1.2.840.113549.2.0")), "PBKDF2 with 1.2.840.113549.2.0"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_named(algorithm, words):
    content = der.Reader(algorithm).read(der.SEQUENCE) if algorithm[0] == der.SEQUENCE else algorithm
    with pytest.raises(pbe.UnknownScheme, match=words):
        _scheme(content)


def test_a_key_of_another_size_and_a_first_block_of_another_size_are_malformed():
    hmac_sha256 = der.sequence(der.oid("1.2.840.113549.2.9"))
    for size, first, fine in ((32, 16, True), (16, 16, False), (32, 8, False)):
        numbers = der.sequence(octets(b"salt"), der.integer(1), der.integer(size), hmac_sha256)
        derived = der.sequence(der.oid(pbe.PBKDF2), numbers)
        cipher = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), octets(bytes(first)))
        parts = der.oid(pbe.PBES2), der.sequence(derived, cipher)
        if fine:
            assert _scheme(*parts).name == "AES-256-CBC, PBKDF2 with HMAC-SHA256, one round"
        else:
            with pytest.raises(ValueError, match="another size"):
                _scheme(*parts)


@given(st.binary(max_size=64))
def test_what_does_not_open_is_no_other_error(hidden):
    scheme = _scheme(der.Reader(pbes2(1)).read(der.SEQUENCE))
    try:
        assert len(scheme.decrypt(hidden, Derivations(), spellings(Secret(b"pw"))[0])) < len(hidden)
    except ValueError:
        return


# PBMAC1


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_pbmac1_checks_a_file(digest):
    """RFC 9579: PBKDF2 makes the key, in UTF-8, and HMAC the check."""
    oid = der.oid({name: each for each, name in pbe.HMACS.items()}[digest])
    salt, safe = os.urandom(8), der.sequence()
    numbers = der.sequence(octets(salt), der.integer(2000), der.integer(32), der.sequence(oid))
    parameters = der.sequence(der.sequence(der.oid(pbe.PBKDF2), numbers), der.sequence(oid))
    algorithm = der.sequence(der.oid(form.PBMAC1), parameters)
    key = hashlib.pbkdf2_hmac(digest, "pässwört".encode(), salt, 2000, 32)
    check = der.sequence(algorithm, octets(hmac.digest(key, safe, digest)))
    file = der.sequence(der.integer(3), data_part(safe), der.sequence(check, octets(b"unused"), der.integer(1)))
    store = opened(file, "pässwört")
    assert store.integrity == Integrity.CHECKED
    assert f"check: HMAC-{digest.upper()}, PBKDF2 with HMAC-{digest.upper()}, 2000 rounds" in store.notes
    with pytest.raises(StorePasswordWrong):
        opened(file, "passwort")


def test_pbmac1_without_the_size_of_its_key_is_malformed():
    """RFC 9579, section 4: it must be there."""
    oid = der.oid("1.2.840.113549.2.9")
    numbers = der.sequence(octets(b"salt"), der.integer(1), der.sequence(oid))
    parameters = der.sequence(der.sequence(der.oid(pbe.PBKDF2), numbers), der.sequence(oid))
    check = der.sequence(der.sequence(der.oid(form.PBMAC1), parameters), octets(bytes(32)))
    with pytest.raises(ValueError, match="of another size than is needed, or of none"):
        form.read_pfx(file_of(mac=der.sequence(check, octets(b""))))


def test_one_part_opens_however_its_bags_lie(tmp_path):
    """The control of `encrypted_part`: the same content opens with the right password and with no other."""
    scheme = _scheme(der.Reader(pbes2(1)).read(der.SEQUENCE))
    key = Derivations().key(scheme.derivation, spellings(Secret(b"changeit"))[0])
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    content = der.sequence()
    padded = content + bytes([16 - len(content)]) * (16 - len(content))
    hidden = Cipher(AES(key), CBC(bytes(16))).encryptor().update(padded)
    file = file_of(encrypted_part(pbes2(1), hidden))
    assert opened(file).entries == ()
    with pytest.raises(StorePasswordWrong):
        opened(file, "another")
