"""PEM in every shape that is found: read by what it holds, and written so that OpenSSL reads it."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import StoreRefused, StoreUnreadable
from handsel.pki import der, pem_blocks
from handsel.pki.keystore import (
    Entry,
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    Store,
    StoreKind,
    TrustedEntry,
    detect,
    pem,
    read,
)
from handsel.pki.keystore.model import MOST_ENTRIES, MOST_ROUNDS
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import key_and_chain, key_entry, pem_of, tool, trusted_entry
from tests.pki.keystore.pkcs12_tools import (
    CHANGEIT,
    LEGACY,
    content_of,
    contents,
    exported,
    key_pem,
    octets,
    opened,
    openssl,
    pbes2,
    with_password,
)
from tests.support import mutations

KEY, CHAIN = key_and_chain("EC")
KEY_PEM, CHAIN_PEM = key_pem(), pem_of(CHAIN)
LEAF = "EC 0"
"""The common name of its certificate."""


def whole(alias: str = LEAF, algorithm: str = "EC") -> tuple[object, ...]:
    key, chain = key_and_chain(algorithm)
    return content_of(KeyEntry(alias, key, chain))


def plain(content: bytes) -> Store:
    return read(content, Passwords())


# Shapes


@pytest.mark.parametrize(
    "content",
    [
        KEY_PEM + CHAIN_PEM,
        CHAIN_PEM + KEY_PEM,
        (KEY_PEM + CHAIN_PEM).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + KEY_PEM + CHAIN_PEM,
        b"Subject: somebody\n\n" + KEY_PEM + b"text: and more\n\n" + CHAIN_PEM + b"the end",
        (KEY_PEM + CHAIN_PEM).replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
        KEY_PEM.strip() + CHAIN_PEM.strip().replace(b"-----\n-----", b"----------"),
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + KEY_PEM + CHAIN_PEM,
    ],
    ids=["key first", "key last", "CRLF", "BOM", "text around", "old name", "no newlines", "parameters before"],
)
def test_a_key_and_its_chain_are_found_in_any_dress(content):
    store = plain(content)
    assert (detect(content), store.kind, store.integrity) == (StoreKind.PEM, StoreKind.PEM, Integrity.NONE)
    assert contents(store) == {whole()}
    assert store.notes == ("keys: none: it lies in clear",)


@pytest.mark.parametrize("algorithm", ["EC", "RSA", "DSA"])
@pytest.mark.parametrize("cipher", [None, "aes128", "aes192", "aes256", "des3", "des"])
def test_traditional_keys_open(tmp_path, algorithm, cipher):
    (tmp_path / "key").write_bytes(key_pem(algorithm))
    hidden = [f"-{cipher}", "-passout", "pass:changeit", *LEGACY] if cipher else []
    old = openssl(algorithm.lower(), "-in", tmp_path / "key",
                  *(["-traditional"] if algorithm == "RSA" else []), *hidden)  # fmt: skip
    assert f"BEGIN {algorithm} PRIVATE KEY".encode() in old
    assert (b"DEK-Info" in old) is bool(cipher)
    store = opened(old + pem_of(key_and_chain(algorithm)[1]))
    assert contents(store) == {whole(f"{algorithm} 0", algorithm)}
    if cipher:
        assert "one round is few against guessing of the password" in store.notes
        for given_one, locked in (("another", "its password is another one"), (None, "needs a password")):
            (shut,) = opened(old + pem_of(key_and_chain(algorithm)[1]), given_one).keys
            assert (shut.key, shut.locked, shut.alias) == (None, locked, f"{algorithm} 0")
            assert shut.chain == key_and_chain(algorithm)[1]


@pytest.mark.parametrize(
    ("options", "protection"),
    [
        (["-v2", "aes-256-cbc"], "AES-256-CBC, PBKDF2 with HMAC-SHA256, 2048 rounds"),
        (["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"], "AES-128-CBC, PBKDF2 with HMAC-SHA512, 2048 rounds"),
        (["-v2", "des3", "-v2prf", "hmacWithSHA1"], "3DES-CBC, PBKDF2 with HMAC-SHA1, 2048 rounds"),
        (["-scrypt"], "AES-256-CBC, scrypt with N=16384"),
        (["-v1", "PBE-MD5-DES", *LEGACY], "DES-CBC, PBKDF1 with MD5, 2048 rounds"),
        (["-v1", "PBE-SHA1-DES", *LEGACY], "DES-CBC, PBKDF1 with SHA1, 2048 rounds"),
        (["-v1", "PBE-SHA1-3DES"], "3DES-CBC, PKCS12 with SHA1, 2048 rounds"),
        (["-v1", "PBE-SHA1-RC2-40", *LEGACY], "RC2-40-CBC, PKCS12 with SHA1, 2048 rounds"),
    ],
)
def test_encrypted_keys_open(options, protection):
    hidden = openssl("pkcs8", "-topk8", "-passout", "pass:changeit", *options, given=KEY_PEM)
    for content in (hidden, pem_der(hidden)):
        (key,) = opened(content).keys
        assert key.key
        assert key.key.belongs_to(CHAIN[0])
        assert key.protection == protection
        assert [each.locked for each in opened(content, "another").keys] == ["its password is another one"]
        assert [each.locked for each in opened(content, None).keys] == ["needs a password"]


def pem_der(content: bytes) -> bytes:
    """The first block without its dress."""
    return next(pem_blocks.blocks(content)).data()


def test_the_cipher_that_is_not_read_is_named():
    hidden = openssl("pkcs8", "-topk8", "-passout", "pass:changeit", "-v2", "camellia-128-cbc", given=KEY_PEM)
    (key,) = opened(hidden).keys
    assert key.locked == "the cipher 1.2.392.200011.61.1.1.1.2 is not read"
    old = openssl("ec", "-camellia128", "-passout", "pass:changeit", given=KEY_PEM)
    (key,) = opened(old).keys
    assert key.locked == "the cipher 'CAMELLIA-128-CBC' is not read"


def test_a_certificate_with_what_it_is_trusted_for():
    content = openssl("x509", "-trustout", "-addtrust", "serverAuth", given=CHAIN_PEM)
    assert b"BEGIN TRUSTED CERTIFICATE" in content
    assert [each.certificate for each in plain(content).trusted] == [CHAIN[0]]


def test_pkcs7_in_pem_and_in_der(tmp_path):
    (tmp_path / "chain").write_bytes(CHAIN_PEM)
    for form in ("PEM", "DER"):
        content = openssl("crl2pkcs7", "-nocrl", "-certfile", tmp_path / "chain", "-outform", form)
        assert detect(content) == StoreKind.PEM
        assert [each.certificate for each in plain(content).trusted] == list(CHAIN)
    assert contents(plain(KEY_PEM + openssl("crl2pkcs7", "-nocrl", "-certfile", tmp_path / "chain"))) == {whole()}
    (tmp_path / "key").write_bytes(KEY_PEM)
    streamed = openssl("smime", "-sign", "-nodetach", "-stream", "-signer", tmp_path / "chain", "-inkey",
                       tmp_path / "key", "-outform", "DER", given=b"text")  # fmt: skip
    assert streamed[:2] == b"\x30\x80"
    assert detect(streamed) == StoreKind.PEM
    assert [each.certificate for each in plain(streamed).trusted] == [CHAIN[0]]


def test_der_without_dress():
    assert [each.certificate for each in plain(CHAIN[0].der).trusted] == [CHAIN[0]]
    assert [each.certificate for each in plain(b"".join(each.der for each in CHAIN)).trusted] == list(CHAIN)
    assert [each.key for each in plain(KEY.pkcs8.reveal()).keys] == [KEY]
    for algorithm in ("EC", "RSA"):
        old = openssl("pkey", "-traditional", "-outform", "DER", given=key_pem(algorithm))
        (entry,) = plain(old).keys
        assert entry.key
        assert entry.key.belongs_to(key_and_chain(algorithm)[1][0])


def test_bags_that_openssl_prints_keep_their_names(tmp_path):
    (tmp_path / "store").write_bytes(exported(tmp_path, name="my Name"))
    content = openssl("pkcs12", "-in", tmp_path / "store", "-passin", "pass:changeit", "-nodes")
    assert b"Bag Attributes" in content
    assert contents(plain(content)) == {whole("my Name")}


# Order and number


def test_an_order_that_tls_does_not_take_is_noted():
    store = plain(KEY_PEM + pem_of(CHAIN[::-1]))
    assert contents(store) == {whole()}
    assert "its certificates are out of order: the right one is 3, 2, 1" in store.notes
    assert not [each for each in plain(KEY_PEM + CHAIN_PEM).notes if "order" in each]


def test_several_keys_each_come_with_their_chain():
    other = key_pem("Ed25519") + pem_of(key_and_chain("Ed25519")[1])
    store = plain(CHAIN_PEM + other + KEY_PEM)
    assert [each.alias for each in store.keys] == ["Ed25519 0", LEAF]
    assert contents(store) == {whole(), whole("Ed25519 0", "Ed25519")}
    assert "it has 2 private keys: most programs take the first and pass over the others" in store.notes


def test_what_belongs_to_no_key_is_there_and_the_key_alone():
    store = plain(KEY_PEM + pem_of(key_and_chain("RSA")[1]))
    assert [each.chain for each in store.keys] == [()]
    assert [each.certificate for each in store.trusted] == list(key_and_chain("RSA")[1])
    assert "no certificate in it is for its key" in store.notes


def test_a_shut_key_is_given_the_certificate_that_issued_none_of_the_others_and_that_is_said():
    hidden = openssl("pkcs8", "-topk8", "-passout", "pass:changeit", given=KEY_PEM)
    store = plain(pem_of(CHAIN[::-1]) + hidden)
    assert [(each.alias, each.chain) for each in store.keys] == [(LEAF, CHAIN)]
    assert "its key is shut: which certificate is for it, is taken for granted" in store.notes
    assert contents(read(pem_of(CHAIN) + hidden, with_password("wrong", **{LEAF: "changeit"}))) == {whole()}


def test_every_alias_is_there_once():
    store = plain(CHAIN_PEM * 3 + KEY_PEM * 2)
    aliases = [each.alias for each in store.entries]
    assert aliases == [LEAF, f"{LEAF}-2"]
    assert [each.alias for each in plain(CHAIN_PEM * 2).entries] == [
        "EC 0", "EC 1", "EC 2", "EC 0-2", "EC 1-2", "EC 2-2"
    ]  # fmt: skip
    assert "a certificate is in it more than once" in plain(CHAIN_PEM * 2).notes
    assert [each.alias for each in plain(KEY_PEM + key_pem("RSA")).entries] == ["1", "2"]


# What is not read


def test_other_blocks_are_noted(tmp_path):
    tool("ssh-keygen")
    public = pem_blocks.written("PUBLIC KEY", b"")
    store = plain(public + CHAIN_PEM + pem_blocks.written("OPENSSH PRIVATE KEY", b"openssh-key-v1\0"))
    assert store.notes == ("a block 'PUBLIC KEY' is not read", "a block 'OPENSSH PRIVATE KEY' is not read")
    with pytest.raises(
        StoreUnreadable, match="neither a certificate nor a key in it: a block 'PUBLIC KEY' is not read"
    ):
        plain(public)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CHAIN_PEM[:300], "a block begins at byte 0 and does not end"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "a block 'CERTIFICATE' is no base64"),
        (pem_blocks.written("PKCS7", b"0"), "cut off"),
        (pem_blocks.written("TRUSTED CERTIFICATE", b""), "no element"),
        (CHAIN[0].der[:-1], "neither PEM nor one certificate, key or PKCS7 message in DER"),
        (CHAIN[0].der + b"\0", "neither PEM nor one certificate, key or PKCS7 message in DER"),
        (der.sequence(), "neither PEM nor one certificate, key or PKCS7 message in DER"),
        (b"\x30", "neither PEM"),
        (b"\x30\x80" + b"\x30\x80" * 50_000, "nested too deep"),
        (der.sequence(der.oid("1.2.840.113549.1.7.1")), "PKCS7 of another kind than signed data"),
    ],
)
def test_damage_is_said_in_a_line(content, words):
    with pytest.raises(StoreUnreadable, match=words) as found:
        plain(content)
    assert "\n" not in str(found.value)


def test_what_the_library_cannot_parse_stays_with_its_fault():
    odd = der.sequence(der.sequence(der.integer(1)), der.sequence(), der.bit_string(b"x"))
    unknown = der.sequence(der.integer(0), der.sequence(der.oid("1.2.3.4.5")), octets(b"key"))
    store = plain(pem_blocks.written("CERTIFICATE", odd) + pem_blocks.written("PRIVATE KEY", unknown))
    (trusted,), (key,) = store.trusted, store.keys
    assert trusted.certificate.fault
    assert key.key
    assert key.key.fault
    for label in ("PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"):
        (damaged,) = plain(pem_blocks.written(label, b"0") + CHAIN_PEM).keys
        assert damaged.locked.startswith(("it cannot be read", "it is damaged"))


def test_curves_by_their_numbers_are_read_or_said_to_be_not():
    """EC keys with explicit parameters: of a known curve, and of one that nobody knows."""
    known = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit")
    (key,) = plain(known).keys
    assert (key.key is None) == bool(key.locked)
    named = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    assert plain(named).keys[0].key


def test_too_much_is_refused():
    with pytest.raises(StoreRefused, match="more than 4000 keys and certificates"):
        plain(pem_of(CHAIN[:1]) * (2 * MOST_ENTRIES + 1))
    bomb = der.sequence(pbes2(MOST_ROUNDS + 1), octets(bytes(32)))
    with pytest.raises(StoreRefused, match="rounds of key derivation"):
        opened(pem_blocks.written("ENCRYPTED PRIVATE KEY", bomb))
    several = [der.sequence(pbes2(MOST_ROUNDS // 2, b"salt%d" % number), octets(bytes(32))) for number in range(3)]
    with pytest.raises(StoreRefused, match="rounds of key derivation"):
        opened(b"".join(pem_blocks.written("ENCRYPTED PRIVATE KEY", each) for each in several))


# Written


def test_what_is_written_is_read_by_openssl_and_by_us(tmp_path):
    entries: list[Entry] = [trusted_entry("ca", "RSA"), key_entry("web")]
    for passwords in (Passwords(), CHANGEIT):
        content = pem.write(entries, passwords)
        labels = [each.label for each in pem_blocks.blocks(content)]
        first = "ENCRYPTED PRIVATE KEY" if passwords.store else "PRIVATE KEY"
        assert labels == [first, *["CERTIFICATE"] * 4]
        store = read(content, passwords)
        assert contents(store) == {
            content_of(key_entry(LEAF)), content_of(trusted_entry("RSA 2", "RSA"))
        }  # fmt: skip
        (tmp_path / "pem").write_bytes(content)
        public = openssl("pkey", "-in", tmp_path / "pem", "-passin", "pass:changeit", "-pubout")
        assert public == openssl("x509", "-in", tmp_path / "pem", "-pubkey", "-noout")
        assert len(x509.load_pem_x509_certificates(content)) == 4


def test_each_key_may_have_a_password_of_its_own():
    entries = [key_entry("web"), key_entry("api", "RSA")]
    content = pem.write(entries, Passwords(by_alias={"web": Secret(b"its own")}))
    first, second = [each for each in pem_blocks.blocks(content) if each.label.endswith("PRIVATE KEY")]
    assert load_pem_private_key(first.text, b"its own")
    assert load_pem_private_key(second.text, None)


@pytest.mark.parametrize(
    ("entry", "passwords", "words"),
    [
        (SecretEntry("aes", "AES", Secret(b"k" * 16)), Passwords(), "the secret key 'aes' has no place in PEM"),
        (KeyEntry("web", None, CHAIN, locked="needs a password"), Passwords(), "'web' is not open: needs a password"),
        (key_entry("web"), with_password(""), "an empty password keeps nothing"),
    ],
)
def test_what_pem_cannot_hold_is_refused(entry, passwords, words):
    with pytest.raises(StoreRefused, match=words):
        pem.write([entry], passwords)
    assert pem.write([key_entry("web")], Passwords())


_ENTRIES = st.sets(st.sampled_from(["EC", "RSA", "Ed25519", "DSA"])).flatmap(
    lambda names: st.tuples(*(st.sampled_from([key_entry(f"{n} 0", n), trusted_entry(f"{n} 2", n)]) for n in names))
)


@given(_ENTRIES.filter(bool))
def test_every_set_of_entries_comes_back(entries):
    assert contents(plain(pem.write(entries, Passwords()))) == {content_of(each) for each in entries}


@given(mutations(KEY_PEM + CHAIN_PEM) | mutations(pem_der(KEY_PEM)) | mutations(CHAIN[0].der))
def test_damage_raises_nothing_but_the_errors_of_stores(content):
    try:
        store = pem.read(content, CHANGEIT)
    except (StoreUnreadable, StoreRefused) as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    for each in store.entries:
        assert isinstance(each, TrustedEntry) or (each.key is None) == bool(each.locked)
        if isinstance(each, KeyEntry) and each.key and each.key.handle:
            each.key.handle.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_certificates_that_are_not_as_they_should_be_are_read(tmp_path):
    """A serial number that is not positive, and version 1."""
    (tmp_path / "key").write_bytes(KEY_PEM)
    odd = openssl("req", "-x509", "-key", tmp_path / "key", "-subj", "/CN=odd", "-set_serial", "-7")
    request = openssl("req", "-new", "-key", tmp_path / "key", "-subj", "/CN=old")
    old = openssl("x509", "-req", "-signkey", tmp_path / "key", given=request)
    for content, alias in ((odd, "odd"), (old, "old")):
        assert [(each.alias, each.certificate.fault) for each in plain(content).trusted] == [(alias, "")]
    with warnings.catch_warnings(action="ignore"):
        assert x509.load_pem_x509_certificate(odd).serial_number == -7
    assert x509.load_pem_x509_certificate(old).version == x509.Version.v1
