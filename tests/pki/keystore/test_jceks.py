"""JCEKS: keys behind Sun's own lock and sealed secret keys are read as Java reads them, and no other object is."""

from __future__ import annotations

import re
import struct
import time

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der, keystore
from handsel.pki.keystore import java, java_objects, java_stream, jceks, jks
from handsel.pki.keystore.model import (
    MOST_ROUNDS,
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    Store,
    StoreKind,
    TrustedEntry,
)
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import (
    ALGORITHMS,
    NOW,
    described,
    dump,
    hexed,
    key_and_chain,
    key_entry,
    keytool,
    pem_of,
)
from tests.pki.keystore.java_tools import java as ask_java
from tests.support import mutations

CHANGEIT = Passwords(Secret(b"changeit"))


def known(store: Store) -> set[tuple[str, ...]]:
    return {described(each) for each in store.entries}


# What Java has written


def test_secret_keys_of_keytool_are_read_as_java_reads_them(tmp_path):
    file = tmp_path / "store"
    store = ("-storetype", "jceks", "-keystore", file, "-storepass", "changeit")
    made = {"aes": ("AES", "256"), "hmac": ("HmacSHA256", "256"), "des": ("DESede", "168")}
    for alias, (algorithm, size) in made.items():
        keytool(
            "-genseckey", *store, "-keypass", f"of {alias}", "-alias", alias, "-keyalg", algorithm, "-keysize", size
        )
    own = {alias: f"of {alias}" for alias in made}
    words = Passwords(Secret(b"changeit"), by_alias={alias: Secret(word.encode()) for alias, word in own.items()})
    found = keystore.read(file.read_bytes(), words)
    assert (found.kind, found.integrity) == (StoreKind.JCEKS, Integrity.CHECKED)
    secrets = {each.alias: (each.algorithm, len(each.key.reveal())) for each in found.entries}
    assert secrets == {"aes": ("AES", 32), "hmac": ("HmacSHA256", 32), "des": ("DESede", 24)}
    assert known(found) == dump("JCEKS", file, "changeit", own)
    for each in jceks.read(file.read_bytes(), CHANGEIT).entries:
        assert isinstance(each, SecretEntry)
        assert (each.key, each.algorithm, each.locked) == (None, "", "its password is another one")
    for each in jceks.read(file.read_bytes(), Passwords()).entries:
        assert isinstance(each, SecretEntry)
        assert (each.key, each.algorithm, each.locked) == (None, "", "needs a password")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_private_keys_chains_and_trusted_certificates_are_read_as_java_reads_them(tmp_path, algorithm):
    file = tmp_path / "store"
    key, chain = key_and_chain(algorithm)
    (tmp_path / "key").write_bytes(key.pkcs8.reveal())
    (tmp_path / "chain").write_bytes(pem_of(chain))
    files = (tmp_path / "key", tmp_path / "chain")
    java_name = "EdDSA" if algorithm == "Ed25519" else algorithm
    ask_java("make", "JCEKS", file, hexed("Straße 🦆"), hexed("Web ü"), hexed("its own"), java_name, *files)
    keytool("-importcert", "-noprompt", "-storetype", "jceks", "-keystore", file, "-storepass", "Straße 🦆",
            "-alias", "Root", "-file", tmp_path / "chain")  # fmt: skip
    words = Passwords(Secret("Straße 🦆".encode()), Secret(b"its own"))
    found = jceks.read(file.read_bytes(), words)
    assert known(found) == dump("JCEKS", file, "Straße 🦆", {"web ü": "its own"})
    (entry,) = found.keys
    assert (entry.alias, entry.protection) == ("web ü", "PBEWithMD5AndTripleDES with 200000 rounds")
    assert entry.chain == chain
    assert any("200000 rounds, which is weak" in note for note in found.notes)
    (locked,) = jceks.read(file.read_bytes(), Passwords(words.store)).keys
    assert (locked.key, locked.locked) == (
        None,
        "its password is another one: JCEKS locks keys with printable ASCII only",
    )
    with pytest.raises(StorePasswordWrong):
        jceks.read(file.read_bytes(), Passwords(Secret(b"its own")))


def test_a_password_kept_by_importpass_is_read(tmp_path):
    file = tmp_path / "store"
    keytool("-importpass", "-storetype", "jceks", "-keystore", file, "-storepass", "changeit", "-keypass", "changeit",
            "-alias", "db", said=b"the word\nthe word\n")  # fmt: skip
    (entry,) = jceks.read(file.read_bytes(), CHANGEIT).entries
    assert isinstance(entry, SecretEntry)
    assert entry.key == Secret(b"the word")
    assert {described(entry)} == dump("JCEKS", file, "changeit")


def test_the_password_may_be_empty(tmp_path):
    file, key = tmp_path / "store", key_and_chain("EC", 1)
    (tmp_path / "key").write_bytes(key[0].pkcs8.reveal())
    (tmp_path / "chain").write_bytes(pem_of(key[1]))
    ask_java("make", "JCEKS", file, "", hexed("web"), "", "EC", tmp_path / "key", tmp_path / "chain")
    found = jceks.read(file.read_bytes(), Passwords(Secret(b"")))
    assert known(found) == dump("JCEKS", file, "")
    assert found.keys[0].key == key[0]


# The lock


@pytest.mark.parametrize("salt", ["0102030405060708", "0102030401020304", "a1b2c3d4a1b2c3d4", "0000000000000000"])
@pytest.mark.parametrize("rounds", [1, 20, 1000])
def test_java_locks_and_we_open_also_where_the_halves_of_the_salt_are_equal(salt, rounds):
    plain = der.sequence(der.integer(0), der.element(der.OCTET_STRING, b"a key"))
    hidden = ask_java("lock", hexed("changeit"), salt, rounds, plain.hex())
    lock = jceks.lock_of(jceks.OID, parameters(bytes.fromhex(salt), rounds), bytes.fromhex(hidden))
    assert lock.open("changeit") == plain
    with pytest.raises(java.Locked):
        lock.open("changeit2")


def test_equal_halves_are_opened_as_java_turned_them_before_it_did_it_right():
    """No Java here slips any more: these are its steps, by hand."""
    salt, plain = bytearray(b"abcdabcd"), der.sequence(der.integer(0))
    for each in range(2):
        kept = salt[each]
        salt[each] = salt[3 - each]
        salt[3 - 1] = kept
    assert bytes(salt) == b"dabdabcd"
    locked = jceks.lock_of(jceks.OID, parameters(b"abcdabcd", 3), lock(plain, rounds=3, salt=bytes(salt)))
    assert locked.open("changeit") == plain
    assert (locked.rounds, locked.name) == (6, "PBEWithMD5AndTripleDES with 3 rounds")
    other = jceks.lock_of(jceks.OID, parameters(b"abcdabce", 3), lock(plain, rounds=3, salt=b"abcdabce"))
    assert (other.open("changeit"), other.rounds) == (plain, 3)


def parameters(salt: bytes, rounds: int) -> bytes:
    return der.sequence(der.element(der.OCTET_STRING, salt), der.integer(rounds))


def lock(plain: bytes, password: str = "changeit", rounds: int = 20, salt: bytes = b"saltsalz") -> bytes:
    """What hides it, as Java does: the tests above show that `derive` is the same as Java's."""
    secret, vector = jceks.derive(password.encode(), salt, rounds)
    padder = padding.PKCS7(64).padder()
    encryptor = Cipher(TripleDES(secret), modes.CBC(vector)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def test_no_wrong_password_opens_a_key_though_the_padding_of_some_is_right():
    """Of four thousand about sixteen have a right padding; no other check is there."""
    hidden = lock(key_and_chain("EC")[0].pkcs8.reveal(), rounds=1)
    locked = jceks.lock_of(jceks.OID, parameters(b"saltsalz", 1), hidden)
    assert locked.open("changeit") == key_and_chain("EC")[0].pkcs8.reveal()
    right = 0
    for number in range(4000):
        secret, vector = jceks.derive(str(number).encode(), b"saltsalz", 1)
        decryptor, unpadder = Cipher(TripleDES(secret), modes.CBC(vector)).decryptor(), padding.PKCS7(64).unpadder()
        try:
            unpadder.update(decryptor.update(hidden)) + unpadder.finalize()
            right += 1
        except ValueError:
            pass
        with pytest.raises(java.Locked):
            locked.open(str(number))
    assert right


# The frame, made here


def frame(*entries: bytes, version: int = 2, count: int | None = None) -> bytes:
    count = len(entries) if count is None else count
    body = b"\xce\xce\xce\xce" + struct.pack(">II", version, count) + b"".join(entries)
    return body + java.tail("changeit", body)


def private(alias: str = "web", rounds: int = 20, algorithm: str = jceks.OID, given: bytes | None = None) -> bytes:
    """An entry whose key is on P-256, locked in few rounds."""
    key, chain = key_and_chain("EC", 1)
    given = parameters(b"saltsalz", rounds) if given is None else given
    hidden = der.element(der.OCTET_STRING, lock(key.pkcs8.reveal(), rounds=min(rounds, 20)))
    start = struct.pack(">I", 1) + java_stream.text(alias) + struct.pack(">q", 0)
    encrypted = java_stream.block(der.sequence(der.sequence(der.oid(algorithm), given), hidden))
    return start + encrypted + struct.pack(">I", 1) + java_stream.text("X.509") + java_stream.block(chain[0].der)


def spec(algorithm: str = "AES", key: bytes = b"0123456789abcdef") -> bytes:
    """A SecretKeySpec as Java serializes it."""
    start = bytes.fromhex(
        "aced00057372001f6a617661782e63727970746f2e737065632e5365637265744b6579537065635b470b66e230614d0200024c0009616c67"
        "6f726974686d7400124c6a6176612f6c616e672f537472696e673b5b00036b65797400025b427870"
    )
    of_bytes = bytes.fromhex("757200025b42acf317f8060854e00200007870")
    return start + b"t" + java_stream.text(algorithm) + of_bytes + java_stream.block(key)


SEALED = bytes.fromhex(
    "aced000573720033636f6d2e73756e2e63727970746f2e70726f76696465722e5365616c65644f626a656374466f724b657950726f74656374"
    "6f72cd57ca59e730bb53020000787200196a617661782e63727970746f2e5365616c65644f626a6563743e363da6c3b754700200045b000d65"
    "6e636f646564506172616d737400025b425b0010656e63727970746564436f6e74656e7471007e00024c0009706172616d73416c677400124c"
    "6a6176612f6c616e672f537472696e673b4c00077365616c416c6771007e00037870"
)


def sealed(plain: bytes, alias: str = "aes", rounds: int = 20, name: str = jceks.NAME, head: bytes = SEALED,
           again: bytes | None = None) -> bytes:  # fmt: skip
    """An entry with a sealed object, as Java serializes it."""
    start = struct.pack(">I", 3) + java_stream.text(alias) + struct.pack(">q", 0) + head
    given = bytes.fromhex("757200025b42acf317f8060854e00200007870") + java_stream.block(parameters(b"saltsalz", rounds))
    content = bytes.fromhex("7571007e0005") + java_stream.block(lock(plain, rounds=min(rounds, 20)))
    return start + given + content + b"t" + java_stream.text(name) + (again or b"t" + java_stream.text(name))


def test_java_agrees_that_what_is_made_here_is_a_store(tmp_path):
    content = frame(
        private(), sealed(spec()), sealed(spec("HmacSHA1", b"k"), "twice", again=bytes.fromhex("71007e0008"))
    )
    (tmp_path / "store").write_bytes(content)
    found = jceks.read(content, CHANGEIT)
    assert [type(each) for each in found.entries] == [KeyEntry, SecretEntry, SecretEntry]
    assert known(found) == dump("JCEKS", tmp_path / "store", "changeit")


def test_a_key_may_have_the_lock_of_jks_and_java_agrees(tmp_path):
    written = jks.write([key_entry("web")], CHANGEIT, NOW)[:-20]
    body = b"\xce\xce\xce\xce" + written[4:]
    (tmp_path / "store").write_bytes(body + java.tail("changeit", body))
    found = jceks.read(body + java.tail("changeit", body), CHANGEIT)
    assert found.keys[0].protection == "a chain of SHA-1 without rounds"
    assert known(found) == dump("JCEKS", tmp_path / "store", "changeit")


@given(st.text(), st.binary(max_size=50))
def test_any_algorithm_and_key_of_a_secret_key_is_read(algorithm, key):
    (entry,) = jceks.read(frame(sealed(spec(algorithm, key))), CHANGEIT).entries
    assert entry == SecretEntry("aes", algorithm, Secret(key), java.EPOCH)


def test_an_object_of_another_class_is_no_sealed_key():
    assert jceks.read(frame(sealed(spec())), CHANGEIT).entries
    for other in (SEALED.replace(b"Sealed", b"Healed", 1), b"\xac\xed\x00\x05" + b"t\x00\x01x", SEALED[:-1] + b"q"):
        for words in (CHANGEIT, Passwords()):
            with pytest.raises(StoreUnreadable, match="not a sealed key as Java writes it"):
                jceks.read(frame(sealed(spec(), head=other)), words)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (spec().replace(b"SecretKeySpec", b"SecretKeyGang"), "of a class that is known here"),
        (spec() + b"x", "bytes after the secret key"),
        (spec()[:-1], "cut off"),
        (b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "of a class that is known here"),
        (der.sequence(der.integer(0)), "of a class that is known here"),
        (b"neither", "its password is another one"),
    ],
)
def test_another_object_in_a_sealed_key_stays_locked_and_the_rest_is_read(plain, said):
    locked, aes = jceks.read(frame(sealed(plain, "odd"), sealed(spec())), CHANGEIT).entries
    assert isinstance(locked, SecretEntry)
    assert locked.key is None
    assert said in locked.locked
    assert isinstance(aes, SecretEntry)
    assert (aes.key, aes.algorithm) == (Secret(b"0123456789abcdef"), "AES")


@pytest.mark.parametrize(
    ("given_parameters", "algorithm", "said"),
    [
        (b"", jceks.OID, "damaged"),
        (parameters(b"short", 20), jceks.OID, "a salt of 5 bytes"),
        (parameters(b"saltsalz", 0), jceks.OID, "0 rounds"),
        (der.sequence(der.element(der.OCTET_STRING, b"saltsalz"), b"\x02\x01\xff"), jceks.OID, "-1 rounds"),
        (parameters(b"saltsalz", 20) + b"\x05\x00", jceks.OID, "damaged"),
        (parameters(b"saltsalz", 20), "1.2.840.113549.1.5.13", "locked by '1.2.840.113549.1.5.13'"),
    ],
)
def test_a_lock_that_is_damaged_or_unknown_leaves_the_rest_readable(given_parameters, algorithm, said):
    content = frame(private("odd", given=given_parameters, algorithm=algorithm), private())
    odd, web = jceks.read(content, CHANGEIT).keys
    assert odd.key is None
    assert said in odd.locked
    assert odd.chain == web.chain
    assert web.key == key_and_chain("EC", 1)[0]


def test_a_sealed_key_with_another_algorithm_stays_locked():
    (entry,) = jceks.read(frame(sealed(spec(), name="AES/GCM/NoPadding")), CHANGEIT).entries
    assert isinstance(entry, SecretEntry)
    assert (entry.key, entry.locked) == (None, "it is locked by 'AES/GCM/NoPadding', which is not known here")


# Limits


def test_more_rounds_than_are_done_are_refused_before_any_and_without_a_password_none_are_asked_for():
    half = MOST_ROUNDS // 2 + 1
    content = frame(private("a", half), sealed(spec(), "b", half))
    began = time.process_time()
    with pytest.raises(StoreRefused, match=re.escape(f"{2 * half} rounds of derivation; at most {MOST_ROUNDS}")):
        jceks.read(content, CHANGEIT)
    assert [each.locked for each in jceks.read(content, Passwords()).entries] == ["needs a password"] * 2
    only = Passwords(by_alias={"a": Secret(b"changeit")})
    assert len(jceks.read(frame(private("a"), sealed(spec(), "b", MOST_ROUNDS)), only).entries) == 2
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (frame(struct.pack(">I", 4)), "the tag 4; there are 1 to 3"),
        (frame(sealed(spec())[:-1]), "cut off"),
        (frame(sealed(spec(), again=b"t" + java_stream.text("another name of 22"))), "a second time"),
        (b"\xfe\xed\xfe\xed" + frame()[4:], "magic number of JCEKS"),
    ],
)
def test_what_is_no_whole_store_is_told_in_a_line(content, said):
    with pytest.raises(StoreUnreadable, match=re.escape(said)):
        jceks.read(content, CHANGEIT)


def test_every_store_that_is_cut_off_is_unreadable():
    content = frame(private(), sealed(spec()))
    assert len(jceks.read(content, Passwords()).entries) == 2
    for end in range(len(content)):
        with pytest.raises(StoreUnreadable):
            jceks.read(content[:end], Passwords())


_WHOLE = frame(private(), sealed(spec()))


@given(mutations(_WHOLE))
def test_damaged_bytes_are_a_store_or_one_of_its_errors(content):
    for words in (Passwords(), Passwords(key=Secret(b"changeit")), CHANGEIT):
        try:
            found = jceks.read(content, words)
        except (StoreUnreadable, StoreRefused, StorePasswordWrong):
            continue
        assert content.startswith(_WHOLE) or found.integrity == Integrity.NOT_CHECKED
        for each in found.entries:
            assert isinstance(each, TrustedEntry) or (each.key is None) == bool(each.locked)


@given(mutations(spec()))
def test_damaged_objects_are_a_key_or_unreadable(content):
    try:
        java_objects.read_secret(content)
    except StoreUnreadable:
        return
    assert content.startswith(spec()[:90])
