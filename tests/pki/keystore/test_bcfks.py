"""BCFKS: what BouncyCastle writes is read whole, what it would not write is refused in one line."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.errors import HandselError, StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.certificate import Certificate
from handsel.pki.keystore import (
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    Store,
    StoreKind,
    TrustedEntry,
    detect,
    read,
)
from handsel.pki.keystore.model import MOST_ENTRIES, MOST_ROUNDS
from handsel.pki.secret import Secret
from tests.pki.keystore.bouncy import HMAC_SHA512, checked, data_of, entry, keytool, octets, pbkdf2
from tests.support import TestAuthority

SAMPLES = Path(__file__).parents[2] / "fuzz" / "corpus" / "bcfks_store"


def opened(content: bytes, password: str | None = "secret", **by_alias: str) -> Store:
    others = {alias: Secret(each.encode()) for alias, each in by_alias.items()}
    return read(content, Passwords(None if password is None else Secret(password.encode()), by_alias=others))


@pytest.fixture(scope="module")
def root() -> Certificate:
    return TestAuthority.make().issuer.root


# What keytool with BouncyCastle writes


@pytest.fixture(scope="module")
def by_keytool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A store of all kinds, the key `Web` with a password of its own; and the certificate of `rsa`, which it trusts."""
    folder = tmp_path_factory.mktemp("bcfks")
    store = folder / "a"
    keytool(store, "-genkeypair", "-alias", "Web", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=web",
            "-keypass", "another")  # fmt: skip
    keytool(store, "-genkeypair", "-alias", "rsa", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=rsa")
    keytool(store, "-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "256")
    keytool(store, "-exportcert", "-alias", "rsa", "-file", str(folder / "rsa.der"))
    keytool(store, "-importcert", "-noprompt", "-alias", "trust", "-file", str(folder / "rsa.der"))
    return store, (folder / "rsa.der").read_bytes()


def test_what_keytool_opens_is_opened_with_equal_entries(by_keytool: tuple[Path, bytes]) -> None:
    path, certificate = by_keytool
    assert detect(path.read_bytes()) is StoreKind.BCFKS
    store = opened(path.read_bytes(), Web="another")
    assert store.integrity is Integrity.CHECKED
    found = {each.alias: each for each in store.entries}
    listed = {
        line.split(", ")[0]: line.split(", ")[-2]
        for line in keytool(path, "-list").splitlines()
        if line.endswith("Entry, ")
    }
    kinds = {KeyEntry: "PrivateKeyEntry", TrustedEntry: "trustedCertEntry", SecretEntry: "SecretKeyEntry"}
    assert listed == {alias: kinds[type(each)] for alias, each in found.items()}
    for alias in ("Web", "rsa"):
        key = found[alias]
        assert isinstance(key, KeyEntry)
        assert key.key is not None
        assert key.key.belongs_to(key.chain[0])
        assert key.created is not None
    assert isinstance(found["trust"], TrustedEntry)
    assert found["trust"].certificate.der == certificate
    aes = found["aes"]
    assert isinstance(aes, SecretEntry)
    assert aes.algorithm == "AES"
    assert aes.key is not None
    assert len(aes.key.reveal()) == 32


def test_a_key_with_a_password_of_its_own_stays_locked_without_it(by_keytool: tuple[Path, bytes]) -> None:
    web, rsa = sorted(opened(by_keytool[0].read_bytes()).keys, key=lambda each: each.alias)
    assert (web.alias, web.key, web.locked) == ("Web", None, "its password is another one")
    assert len(web.chain) == 1
    assert rsa.key is not None


def test_the_password_of_the_store_is_wrong_or_missing(by_keytool: tuple[Path, bytes]) -> None:
    content = by_keytool[0].read_bytes()
    for password, said in (
        ("wrong", "the password is wrong"),
        ("", "the password is wrong"),
        (None, "it needs a password"),
    ):
        with pytest.raises(StorePasswordWrong, match=said):
            opened(content, password)


@pytest.mark.parametrize("password", ["ünïcødé", "pass 🗝 word"])
def test_passwords_of_other_letters(tmp_path: Path, password: str) -> None:
    keytool(tmp_path / "a", "-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "128", password=password)
    (aes,) = opened((tmp_path / "a").read_bytes(), password).entries
    assert isinstance(aes, SecretEntry)
    assert aes.key is not None


# What BouncyCastle's own programming interface writes: kept samples


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kwp-scrypt", "AES-256-KWP, scrypt, 16 rounds"),
        ("ccm-scrypt", "AES-256-CCM, scrypt, 16 rounds"),
        ("sha3", "AES-256-CCM, PBKDF2-HMAC-SHA3-512, 100 rounds"),
    ],
)
def test_other_ciphers_and_derivations(name: str, words: str) -> None:
    store = opened((SAMPLES / f"{name}.bcfks").read_bytes())
    assert store.integrity is Integrity.CHECKED
    assert store.notes == (f"the store is encrypted: {words}", "its password is derived with little work: soon guessed")
    assert [each.alias for each in store.entries] == ["trust", "web", "aes", "mac"]
    assert all(not getattr(each, "locked", "") for each in store.entries)
    assert [each.algorithm for each in store.entries if isinstance(each, SecretEntry)] == ["AES", "HmacSHA1"]
    assert store.keys[0].key is not None
    assert store.keys[0].key.belongs_to(store.keys[0].chain[0])


def test_an_empty_store_with_an_empty_password() -> None:
    content = (SAMPLES / "empty.bcfks").read_bytes()
    assert opened(content, "").entries == ()
    assert opened(content, "").integrity is Integrity.CHECKED


def test_a_signed_store_is_read_and_its_signature_is_not_believed() -> None:
    store = opened((SAMPLES / "signed.bcfks").read_bytes(), "", web="secret")
    assert store.integrity is Integrity.NOT_CHECKED
    assert "it is signed; the signature is not checked here" in store.notes
    assert store.keys[0].key is not None


def test_a_key_that_came_in_encrypted_by_other_means_is_kept() -> None:
    (key,) = opened((SAMPLES / "protected.bcfks").read_bytes()).keys
    assert key.key is None
    assert "which is not known here" in key.locked
    assert len(key.chain) == 1


# What is not encrypted: made here, and keytool says that it is a store


def test_a_plain_store_is_read_without_a_password(tmp_path: Path, root: Certificate) -> None:
    content = checked(data_of(entry(0, "trust", root.der)))
    (tmp_path / "a").write_bytes(content)
    assert "trust, " in keytool(tmp_path / "a", "-list")
    assert opened(content, None).integrity is Integrity.NOT_CHECKED
    assert opened(content).integrity is Integrity.CHECKED
    assert [each.certificate.der for each in opened(content, None).trusted] == [root.der]
    assert "the store itself is not encrypted" in opened(content, None).notes
    with pytest.raises(StorePasswordWrong):
        opened(content, "wrong")


def test_a_changed_byte_is_noticed(root: Certificate) -> None:
    content = checked(data_of(entry(0, "trust", root.der)))
    changed = content.replace(b"trust", b"trusu")
    assert changed != content
    with pytest.raises(StorePasswordWrong, match="or the store was changed"):
        opened(changed)


def test_odd_aliases_are_said(root: Certificate) -> None:
    store = opened(checked(data_of(*(entry(0, alias, root.der) for alias in ("A", "a", "")))))
    assert {"several entries have the alias 'a'", "an entry has no alias"} <= set(store.notes)


def test_a_certificate_that_is_none_stays_with_its_fault() -> None:
    (kept,) = opened(checked(data_of(entry(0, "odd", b"\x30\x03\x02\x01\x01")))).trusted
    assert kept.certificate.certificate is None
    assert kept.certificate.fault


# What is no store


@pytest.mark.parametrize("version_1", [True, False])
def test_a_certificate_is_no_store(root: Certificate, *, version_1: bool) -> None:
    """Also one of version 1, which begins with a number as a plain store does."""
    content = root.der
    if version_1:
        number, algorithm, name = der.integer(1), HMAC_SHA512, der.sequence()
        content = der.sequence(der.sequence(number, algorithm, name), algorithm, b"\x03\x01\x00")
    assert detect(content) is StoreKind.PEM
    assert detect(root.parsed.public_bytes(Encoding.PEM)) is StoreKind.PEM


def test_truncated_or_with_bytes_behind(root: Certificate) -> None:
    content = checked(data_of(entry(0, "trust", root.der)))
    sample = (SAMPLES / "ccm-scrypt.bcfks").read_bytes()
    for whole in (content, sample):
        for damaged in (*(whole[:length] for length in range(1, len(whole), 97)), whole + b"\0"):
            with pytest.raises(HandselError) as caught:
                read(damaged, Passwords(Secret(b"secret")))
            assert isinstance(caught.value, StoreUnreadable | StorePasswordWrong | StoreRefused)
            assert "\n" not in str(caught.value)


def _encrypted_key(rounds: int) -> bytes:
    ccm = der.sequence(der.oid("2.16.840.1.101.3.4.1.47"), der.sequence(octets(b"n" * 12), der.integer(8)))
    scheme = der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(pbkdf2(b"s" * 64, rounds, 32), ccm))
    return der.sequence(der.sequence(scheme, octets(b"x" * 40)), der.sequence())


def test_bombs_are_refused_before_any_work(root: Certificate) -> None:
    scrypt = der.sequence(octets(b"s"), der.integer(1 << 22), der.integer(1), der.integer(1))
    memory = der.sequence(HMAC_SHA512, der.sequence(der.oid("1.3.6.1.4.1.11591.4.11"), scrypt), octets(b"m"))
    bombs = {
        "rounds of derivation": [
            der.sequence(data_of(), der.sequence(HMAC_SHA512, pbkdf2(b"s", 1 << 40, 64), octets(b"m"))),
            checked(data_of(*(entry(1, str(number), _encrypted_key(MOST_ROUNDS // 2)) for number in range(3)))),
        ],
        "MiB of memory": [der.sequence(data_of(), memory)],
        "entries": [checked(data_of(*itertools.repeat(entry(0, "a", b""), MOST_ENTRIES + 1)))],
    }  # fmt: skip
    for said, contents in bombs.items():
        for content in contents:
            started = time.monotonic()
            with pytest.raises(StoreRefused, match=said):
                opened(content)
            assert time.monotonic() - started < 1
