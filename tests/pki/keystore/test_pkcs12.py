"""PKCS12 read: what OpenSSL, Java and NSS write comes whole, in DER and in BER, old ciphers and new ones."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import (
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    StoredCertificate,
    StoredKey,
    StoreKind,
    TrustedEntry,
    detect,
    read,
)
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import dump, hexed, java, key_and_chain, keytool, pem_of, tool
from tests.pki.keystore.pkcs12_tools import (
    LEGACY,
    content_of,
    contents,
    exported,
    opened,
    openssl,
    with_password,
)

_SHA1_MAC = "its check is made with SHA-1"


def expected(alias: str, algorithm: str = "EC") -> tuple[object, ...]:
    """A key with its chain, as it must be found."""
    key, chain = key_and_chain(algorithm)
    return content_of(KeyEntry(alias, key, chain))


# What OpenSSL writes


@pytest.mark.parametrize("algorithm", ["EC", "RSA", "DSA", "Ed25519"])
def test_a_key_of_every_kind_comes_with_its_chain(tmp_path, algorithm):
    store = opened(exported(tmp_path, algorithm=algorithm))
    assert (store.kind, store.integrity) == (StoreKind.PKCS12, Integrity.CHECKED)
    assert contents(store) == {expected("web", algorithm)}
    assert store.keys[0].protection == "AES-256-CBC, PBKDF2 with HMAC-SHA256, 2048 rounds"


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        ((), ["2048 rounds are few against guessing of the password"]),
        (("-iter", "20000"), ["check: HMAC-SHA256, PKCS12 with SHA256, 20000 rounds"]),
        (("-legacy",), [_SHA1_MAC, "RC2-40-CBC has a key of 40 bits, which is found by trying",
                        "keys: 3DES-CBC, PKCS12 with SHA1, 2048 rounds"]),
        (("-certpbe", "NONE"), ["keys: AES-256-CBC, PBKDF2 with HMAC-SHA256, 2048 rounds"]),
        (("-keypbe", "NONE"), ["keys: none: it lies in clear"]),
        (("-keypbe", "NONE", "-certpbe", "NONE"), ["keys: none: it lies in clear"]),
        (("-keypbe", "PBE-SHA1-RC4-128", "-certpbe", "PBE-SHA1-RC4-40", *LEGACY), ["RC4-128 is a broken cipher"]),
        (("-keypbe", "PBE-SHA1-2DES", "-certpbe", "PBE-SHA1-RC2-128", *LEGACY),
         ["keys: 3DES-CBC with two keys, PKCS12 with SHA1, 2048 rounds"]),
        (("-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC"),
         ["certificates: AES-192-CBC, PBKDF2 with HMAC-SHA256, 2048 rounds"]),
        (("-keypbe", "DES-EDE3-CBC", "-certpbe", "AES-256-CBC"),
         ["3DES-CBC is an old cipher, no longer safe for much data"]),
        (("-macalg", "SHA1"), [_SHA1_MAC]),
        (("-macalg", "SHA224"), ["check: HMAC-SHA224, PKCS12 with SHA224, 2048 rounds"]),
        (("-macalg", "SHA384"), ["check: HMAC-SHA384, PKCS12 with SHA384, 2048 rounds"]),
        (("-macalg", "SHA512"), ["check: HMAC-SHA512, PKCS12 with SHA512, 2048 rounds"]),
        (("-nomaciter", "-noiter"), ["one round is few against guessing of the password"]),
    ],
)  # fmt: skip
def test_every_way_to_keep_it_is_read_and_said(tmp_path, options, notes):
    store = opened(exported(tmp_path, *options))
    assert contents(store) == {expected("web")}
    assert store.integrity == Integrity.CHECKED
    assert set(notes) <= set(store.notes)
    with pytest.raises(StorePasswordWrong, match="its password is wrong, or the file was changed"):
        opened(exported(tmp_path, *options), "another one")


def test_few_rounds_and_old_ciphers_are_not_said_of_a_file_without_them(tmp_path):
    """The control."""
    notes = opened(exported(tmp_path, "-iter", "10000")).notes
    assert not [each for each in notes if "few" in each or "old" in each or "found by trying" in each]


def test_without_a_check_the_password_still_decides_and_the_absence_is_said(tmp_path):
    content = exported(tmp_path, "-nomac")
    store = opened(content)
    assert contents(store) == {expected("web")}
    assert store.integrity == Integrity.NONE
    assert "it carries no check: whoever can write it can change it unseen" in store.notes
    with pytest.raises(StorePasswordWrong, match="its password is wrong, or the file is damaged"):
        opened(exported(tmp_path, "-nomac", "-certpbe", "AES-256-CBC"), "another one")


@pytest.mark.parametrize("options", [(), ("-legacy",), ("-nomac",)])
@pytest.mark.parametrize("password", ["", "a", "pässwört", "🔑 and more", "x" * 300])
def test_every_password_that_openssl_takes_opens_it(tmp_path, options, password):
    content = exported(tmp_path, *options, password=password)
    assert contents(opened(content, password)) == {expected("web")}
    with pytest.raises(StorePasswordWrong):
        opened(exported(tmp_path, *options, "-certpbe", "PBE-SHA1-3DES", password=password), password + "x")


def test_a_password_that_an_old_openssl_widened_octet_by_octet_opens_it(tmp_path):
    """Before 1.1 it took no notice of UTF-8: so does one of today that is given the octets as Latin-1 letters."""
    content = exported(tmp_path, "-legacy", password="pässwört".encode().decode("latin-1"))
    assert contents(opened(content, "pässwört")) == {expected("web")}


def test_a_name_may_be_missing_and_may_have_any_letters(tmp_path):
    store = opened(exported(tmp_path, name=""))
    assert [each.alias for each in store.entries] == ["1"]
    assert "1 of its entries have no name, and are numbered" in store.notes
    assert [each.alias for each in opened(exported(tmp_path, name="Größe 証明")).entries] == ["Größe 証明"]


def test_certificates_without_a_key_are_all_there_and_java_sees_none(tmp_path):
    chain = key_and_chain("EC")[1]
    (tmp_path / "chain").write_bytes(pem_of(chain))
    content = openssl("pkcs12", "-export", "-nokeys", "-in", tmp_path / "chain", "-passout", "pass:changeit")
    store = opened(content)
    assert [each.certificate for each in store.trusted] == list(chain)
    assert [each.alias for each in store.trusted] == ["1", "2", "3"]
    assert "3 of its certificates lack Java's mark of trust: keytool passes over them" in store.notes
    (tmp_path / "store").write_bytes(content)
    assert dump("PKCS12", tmp_path / "store", "changeit") == set()


def test_a_key_without_certificates_is_there(tmp_path):
    (entry,) = opened(exported(tmp_path, "-nocerts")).entries
    assert isinstance(entry, KeyEntry)
    assert (entry.alias, entry.chain, entry.key is not None) == ("web", (), True)


def test_two_passwords_are_said_in_one_line(tmp_path):
    (tmp_path / "key").write_bytes(pem_of(key_and_chain("EC")[1]))
    done = subprocess.run(
        [tool("openssl"), "pkcs12", "-export", "-nokeys", "-in", str(tmp_path / "key"), "-twopass"],
        input=b"check\ncheck\nparts\nparts\n", capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("needs an openssl that asks twice without a terminal")
    with pytest.raises(StorePasswordWrong, match="a part of it has another password than its check"):
        opened(done.stdout, "check")


# What Java writes


def test_keys_secrets_and_trusted_certificates_of_java_come_whole(tmp_path):
    store, chain = tmp_path / "store", key_and_chain("RSA")[1]
    (tmp_path / "trusted").write_bytes(pem_of(chain[-1:]))
    common = ["-keystore", store, "-storepass", "changeit", "-storetype", "pkcs12"]
    keytool("-genkeypair", "-alias", "First", "-keyalg", "EC", "-dname", "CN=first", *common)
    keytool("-genkeypair", "-alias", "second", "-keyalg", "RSA", "-dname", "CN=second", *common)
    keytool("-genkeypair", "-alias", "third", "-keyalg", "Ed25519", "-dname", "CN=third", *common)
    keytool("-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "256", *common)
    keytool("-genseckey", "-alias", "mac", "-keyalg", "HmacSHA256", "-keysize", "256", *common)
    keytool("-importcert", "-noprompt", "-alias", "root", "-file", tmp_path / "trusted", *common)
    found = opened(store.read_bytes())
    assert [(type(each), each.alias) for each in found.entries] == [
        (KeyEntry, "first"), (KeyEntry, "second"), (KeyEntry, "third"), (SecretEntry, "aes"), (SecretEntry, "mac"),
        (TrustedEntry, "root"),
    ]  # fmt: skip
    assert found.notes == (
        "check: HMAC-SHA256, PKCS12 with SHA256, 10000 rounds",
        "certificates: AES-256-CBC, PBKDF2 with HMAC-SHA256, 10000 rounds",
        "keys: AES-256-CBC, PBKDF2 with HMAC-SHA256, 10000 rounds",
    )
    told = {line[0]: line for line in dump("PKCS12", store, "changeit")}
    for each in found.entries:
        line = told[hexed(each.alias)]
        if isinstance(each, TrustedEntry):
            assert (line[1], line[5]) == ("trusted", each.certificate.fingerprint)
            continue
        assert each.created == datetime.fromtimestamp(int(line[2]) / 1000, UTC)
        match each:
            case SecretEntry(key=Secret() as key):
                assert line[3:] == (each.algorithm, key.reveal().hex())
            case KeyEntry(key=StoredKey() as key):
                assert line[4:] == (key.pkcs8.reveal().hex(), *(cert.fingerprint for cert in each.chain))
                assert key.belongs_to(each.chain[0])


def test_a_key_with_a_password_of_its_own_opens_with_that_one_only(tmp_path):
    key, chain = key_and_chain("EC")
    (tmp_path / "key").write_bytes(key.pkcs8.reveal())
    (tmp_path / "chain").write_bytes(pem_of(chain))
    java("make", "PKCS12", tmp_path / "store", hexed("changeit"), hexed("web"), hexed("its own"), "EC",
         tmp_path / "key", tmp_path / "chain")  # fmt: skip
    content = (tmp_path / "store").read_bytes()
    (shut,) = opened(content).keys
    assert (shut.alias, shut.key, shut.locked) == ("web", None, "its password is another one")
    assert shut.chain == chain  # by its localKeyId
    for given in (with_password("changeit", web="its own"), Passwords(Secret(b"changeit"), Secret(b"its own"))):
        assert contents(read(content, given)) == {expected("web")}
    wrong = read(content, with_password("changeit", web="something else"))
    assert [each.locked for each in wrong.keys] == ["its password is another one"]
    # Without the store's password the certificates stay shut, but the key has its own.
    (alone,) = read(content, Passwords(key=Secret(b"its own"))).keys
    assert alone.key == key


# What NSS writes: BER


def test_ber_of_nss_is_read(tmp_path):
    tool("pk12util")
    database, source = tmp_path / "nss", tmp_path / "in"
    database.mkdir()
    source.write_bytes(exported(tmp_path))
    for command in (
        ["certutil", "-N", "-d", database, "--empty-password"],
        ["pk12util", "-i", source, "-d", database, "-W", "changeit"],
        ["pk12util", "-o", tmp_path / "out", "-n", "web", "-d", database, "-W", "changeit"],
    ):
        subprocess.run([str(each) for each in command], check=True, capture_output=True, timeout=60)
    content = (tmp_path / "out").read_bytes()
    assert content[:2] == b"\x30\x80"
    assert detect(content) == StoreKind.PKCS12
    store = opened(content)
    assert contents(store) == {expected("web")}
    assert store.integrity == Integrity.CHECKED


# Without a password


def test_without_a_password_what_lies_in_clear_is_read(tmp_path):
    store = opened(exported(tmp_path, "-certpbe", "NONE"), None)
    assert store.integrity == Integrity.NOT_CHECKED
    assert [(each.alias, each.locked, each.chain) for each in store.keys] == [
        ("web", "needs a password", key_and_chain("EC")[1])
    ]
    plain = opened(exported(tmp_path, "-certpbe", "NONE", "-keypbe", "NONE", "-nomac"), None)
    assert contents(plain) == {expected("web")}
    assert plain.integrity == Integrity.NONE


def test_without_a_password_keys_are_named_and_hidden_certificates_are_missed(tmp_path):
    store = opened(exported(tmp_path), None)
    assert [(each.alias, each.chain) for each in store.keys] == [("web", ())]
    assert "1 of its parts, with its certificates as a rule, cannot be read without a password" in store.notes


def test_where_nothing_lies_in_clear_a_password_is_asked_for(tmp_path):
    (tmp_path / "chain").write_bytes(pem_of(key_and_chain("EC")[1]))
    content = openssl("pkcs12", "-export", "-nokeys", "-in", tmp_path / "chain", "-passout", "pass:changeit")
    with pytest.raises(StorePasswordWrong, match=r"^it needs a password$"):
        opened(content, None)
    assert len(opened(content).entries) == 3


def test_the_library_finds_the_same(tmp_path):
    """`cryptography` finds one key and its certificates in what OpenSSL writes."""
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

    content = exported(tmp_path, "-legacy")
    theirs = pkcs12.load_pkcs12(content, b"changeit")
    assert theirs.cert
    (ours,) = opened(content).keys
    chain = [theirs.cert, *theirs.additional_certs]
    assert [StoredCertificate(each.certificate.public_bytes(Encoding.DER)) for each in chain] == list(ours.chain)


def test_what_ends_too_early_is_no_file_and_what_follows_its_end_is_noted(tmp_path):
    content = exported(tmp_path)
    for damaged in (content[:-1], content[: len(content) // 2], content[:20]):
        with pytest.raises(StoreUnreadable, match="it is no PKCS12 file, or a damaged one"):
            opened(damaged)
    assert opened(content).entries  # the control
    assert "1 bytes follow its end" in opened(content + b"\0").notes


def test_a_changed_byte_is_noticed(tmp_path):
    content = bytearray(exported(tmp_path))
    content[-400] ^= 1
    with pytest.raises((StorePasswordWrong, StoreUnreadable, StoreRefused)):
        opened(bytes(content))
