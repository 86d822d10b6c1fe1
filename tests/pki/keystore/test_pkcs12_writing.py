"""PKCS12 written: Java, OpenSSL and `cryptography` find in it what was put in, entry for entry."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.errors import StoreRefused
from handsel.pki import keystore
from handsel.pki.keystore import (
    Entry,
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    StoredCertificate,
    TrustedEntry,
    read,
)
from handsel.pki.keystore.pkcs12 import write
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import (
    NOW,
    JavaSaysNo,
    described,
    dump,
    hexed,
    java,
    key_and_chain,
    key_entry,
    keytool,
    pem_of,
    trusted_entry,
)
from tests.pki.keystore.pkcs12_tools import CHANGEIT, content_of, contents, opened, openssl, with_password

AES = SecretEntry("aes", "AES", Secret(bytes(range(32))), NOW + timedelta(milliseconds=7))
EVERYTHING: tuple[Entry, ...] = (
    key_entry("web", "EC"),
    key_entry("api", "RSA", length=2, created=NOW + timedelta(days=1)),
    key_entry("alone", "Ed25519", length=1, created=NOW - timedelta(seconds=1)),
    trusted_entry("ca", "DSA"),
    AES,
    replace(AES, alias="mac", algorithm="HmacSHA256", created=NOW + timedelta(days=2)),
)


# Who reads it


def test_java_finds_every_entry(tmp_path):
    (tmp_path / "store").write_bytes(write(EVERYTHING, CHANGEIT))
    found = {line[0]: line for line in dump("PKCS12", tmp_path / "store", "changeit")}
    assert len(found) == len(EVERYTHING)
    for entry in EVERYTHING:
        line, wanted = found[hexed(entry.alias)], described(entry)
        if isinstance(entry, TrustedEntry):  # of which the format keeps no date
            line, wanted = (*line[:2], *line[3:]), (*wanted[:2], *wanted[3:])
        assert line == wanted


def test_keytool_lists_it(tmp_path):
    (tmp_path / "store").write_bytes(write(EVERYTHING, CHANGEIT))
    said = keytool("-list", "-v", "-keystore", tmp_path / "store", "-storepass", "changeit")
    assert "Keystore type: PKCS12" in said
    assert "Your keystore contains 6 entries" in said
    assert said.count("Entry type: PrivateKeyEntry") == 3
    assert said.count("Entry type: trustedCertEntry") == 1
    assert said.count("Entry type: SecretKeyEntry") == 2
    assert "Certificate chain length: 3" in said


def test_keytool_can_go_on_with_it(tmp_path):
    """It adds and removes entries, and writes the file again."""
    store = tmp_path / "store"
    store.write_bytes(write(EVERYTHING, CHANGEIT))
    common = ["-keystore", store, "-storepass", "changeit"]
    keytool("-changealias", "-alias", "web", "-destalias", "new", *common)
    keytool("-delete", "-alias", "api", *common)
    found = opened(store.read_bytes())
    assert {each.alias for each in found.entries} == {"new", "alone", "ca", "aes", "mac"}
    assert next(each.chain for each in found.keys if each.alias == "new") == key_entry("web", "EC").chain


def test_openssl_reads_it(tmp_path):
    (tmp_path / "store").write_bytes(write(EVERYTHING, CHANGEIT))
    pem = openssl("pkcs12", "-in", tmp_path / "store", "-passin", "pass:changeit", "-nodes")
    said = keystore.read(pem)
    keys = [each for each in EVERYTHING if isinstance(each, KeyEntry)]
    assert {content_of(each) for each in said.keys} == {content_of(each) for each in keys}
    assert pem.count(b"BEGIN CERTIFICATE") == 3 + 2 + 1 + 1


def test_the_library_reads_it():
    entry = key_entry("web", "RSA")
    found = pkcs12.load_pkcs12(write([entry], CHANGEIT), b"changeit")
    assert found.key
    assert found.cert
    assert entry.key
    assert entry.key.handle
    shape = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert found.key.private_bytes(*shape) == entry.key.handle.private_bytes(*shape)
    every = [found.cert, *found.additional_certs]
    assert [each.certificate.public_bytes(Encoding.DER) for each in every] == [each.der for each in entry.chain]
    assert found.cert.friendly_name == b"web"


def test_a_truststore_holds_in_java_what_is_trusted(tmp_path):
    roots = [replace(trusted_entry(name.lower(), name), alias=name.lower()) for name in ("EC", "RSA", "DSA")]
    (tmp_path / "store").write_bytes(write(roots, CHANGEIT))
    found = dump("PKCS12", tmp_path / "store", "changeit")
    assert {(line[0], line[1], line[5]) for line in found} == {
        (hexed(each.alias), "trusted", each.certificate.fingerprint) for each in roots
    }


def test_an_empty_store_is_one(tmp_path):
    (tmp_path / "store").write_bytes(write([], CHANGEIT))
    assert dump("PKCS12", tmp_path / "store", "changeit") == set()
    assert opened((tmp_path / "store").read_bytes()).integrity == Integrity.CHECKED


def test_what_java_wrote_and_we_wrote_again_is_the_same_to_java(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    common = ["-keystore", first, "-storepass", "changeit"]
    keytool("-genkeypair", "-alias", "Key", "-keyalg", "EC", "-dname", "CN=key", *common)
    keytool("-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "128", *common)
    second.write_bytes(write(opened(first.read_bytes()).entries, CHANGEIT))
    assert dump("PKCS12", first, "changeit") == dump("PKCS12", second, "changeit")


# What it is kept with


def test_it_is_kept_as_java_keeps_its_own():
    store = opened(write([key_entry("web"), trusted_entry("ca", "RSA")], CHANGEIT))
    assert store.notes == (
        "check: HMAC-SHA256, PKCS12 with SHA256, 10000 rounds",
        "certificates: AES-256-CBC, PBKDF2 with HMAC-SHA256, 10000 rounds",
        "keys: AES-256-CBC, PBKDF2 with HMAC-SHA256, 10000 rounds",
    )


def test_nothing_of_a_key_or_a_name_lies_in_clear_and_no_two_files_are_the_same():
    entry = key_entry("web")
    first, second = write([entry], CHANGEIT), write([entry], CHANGEIT)
    assert first != second
    assert entry.key
    for content in (first, second):
        assert entry.key.pkcs8.reveal()[-40:] not in content
        assert entry.chain[0].der[-40:] not in content


def test_keys_made_in_one_moment_keep_their_own_certificates():
    """Java's identifier is the moment, which must not join a key with another one's certificate."""
    entries = [key_entry(name.lower(), name) for name in ("EC", "RSA", "Ed25519")]
    store = opened(write(entries, CHANGEIT))
    assert contents(store) == {content_of(each) for each in entries}
    assert [each.created and (each.created - NOW).microseconds // 1000 for each in store.keys] == [0, 1, 2]


def test_one_key_under_two_aliases_is_two_entries(tmp_path):
    entries = [key_entry("one"), key_entry("two")]
    content = write(entries, CHANGEIT)
    assert contents(opened(content)) == {content_of(each) for each in entries}
    (tmp_path / "store").write_bytes(content)
    assert len(dump("PKCS12", tmp_path / "store", "changeit")) == 2


# What is refused, beside what is not


@pytest.mark.parametrize(
    ("passwords", "words"),
    [
        (Passwords(), "needs a password"),
        (with_password(""), "needs a password"),
        (with_password("pässwort"), "beyond ASCII"),
        (with_password("a\nb"), "beyond ASCII"),
        (with_password("changeit", web="its own"), "a password of its own"),
        (Passwords(Secret(b"changeit"), Secret(b"its own")), "a password of its own"),
    ],
)
def test_passwords_that_java_could_not_use_are_refused(passwords, words):
    with pytest.raises(StoreRefused, match=words):
        write([key_entry("web")], passwords)
    assert write([key_entry("web")], with_password("changeit", web="changeit"))
    assert write([key_entry("web")], Passwords(Secret(b"changeit"), Secret(b"changeit")))


def test_keytool_opens_no_file_with_such_a_password(tmp_path):
    """Why they are refused: OpenSSL writes such files, and Java is the one that does not open them."""
    (tmp_path / "key").write_bytes(pem_of(key_and_chain("EC")[1]))
    for password, opens in (("pässwort", False), ("passwort", True)):
        content = openssl("pkcs12", "-export", "-nokeys", "-in", tmp_path / "key", "-passout", f"pass:{password}")
        (tmp_path / "store").write_bytes(content)
        with contextlib.nullcontext() if opens else pytest.raises(JavaSaysNo, match="password was incorrect"):
            java("dump", "PKCS12", tmp_path / "store", hexed(password))


LEAF, ABOVE, ROOT = key_and_chain("EC")[1]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([key_entry("web"), trusted_entry("WEB")], "several entries have the alias 'web'"),
        ([key_entry("")], "an entry has no alias"),
        ([KeyEntry("web", None, (LEAF,), locked="needs a password")], "the key 'web' is not open: needs a password"),
        ([SecretEntry("aes", "AES", None, locked="needs a password")], "the key 'aes' is not open"),
        ([replace(AES, algorithm="Rot13")], "is of Rot13, which is not written"),
        ([replace(key_entry("web"), chain=(LEAF, ROOT))], "its certificate 1 has another issuer than the next"),
        ([replace(key_entry("web"), chain=(LEAF, StoredCertificate(b"0")))], "a certificate of 'web' cannot be read"),
        ([TrustedEntry("ca", StoredCertificate(b"0"))], "a certificate of 'ca' cannot be read"),
        ([trusted_entry(f"{number}") for number in range(2001)], "more than 2000 entries"),
    ],
)
def test_entries_that_java_could_not_hold_are_refused(entries, words):
    with pytest.raises(StoreRefused, match=words):
        write(entries, CHANGEIT)
    assert write(EVERYTHING, CHANGEIT)


def test_a_key_without_certificates_is_written(tmp_path):
    content = write([replace(key_entry("web"), chain=())], CHANGEIT)
    assert [each.chain for each in opened(content).keys] == [()]
    (tmp_path / "store").write_bytes(content)
    assert "web" in keytool("-list", "-keystore", tmp_path / "store", "-storepass", "changeit")


# All of it


_ALIASES = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
    min_size=0, max_size=4, unique_by=str.lower,
)  # fmt: skip
_KINDS = st.sampled_from([lambda a: key_entry(a, "EC"), lambda a: key_entry(a, "Ed25519", 1), lambda a: key_entry(a, "RSA", 2),
                          lambda a: trusted_entry(a, "DSA"), lambda a: replace(AES, alias=a)])  # fmt: skip
_PASSWORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)


@settings(max_examples=40)
@given(st.data(), _ALIASES, _PASSWORDS)
def test_what_is_written_is_read(data, aliases, password):
    entries = [data.draw(_KINDS)(alias) for alias in aliases]
    given_one = with_password(password)
    store = read(write(entries, given_one), given_one)
    assert store.integrity == Integrity.CHECKED
    assert {content_of(each) for each in entries} == contents(store)
    assert {each.alias for each in entries} == {each.alias for each in store.entries}
