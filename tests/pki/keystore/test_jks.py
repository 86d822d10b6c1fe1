"""JKS: what Java has written we read, entry for entry, and the other way round; nothing else is taken for a store."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import (
    KeyPasswordWrong,
    StorePasswordWrong,
    StoreRefused,
    StoreUnreadable,
)
from handsel.pki import der, keystore
from handsel.pki.keystore import java, java_stream, jks
from handsel.pki.keystore.model import (
    MOST_ENTRIES,
    Integrity,
    KeyEntry,
    Passwords,
    SecretEntry,
    Store,
    StoredCertificate,
    StoredKey,
    StoreKind,
    TrustedEntry,
)
from handsel.pki.secret import Secret
from tests.pki.keystore.java_tools import (
    ALGORITHMS,
    NOW,
    JavaSaysNo,
    described,
    dump,
    hexed,
    key_and_chain,
    key_entry,
    keytool,
    pem_of,
    tool,
    trusted_entry,
)
from tests.pki.keystore.java_tools import (
    java as ask_java,
)
from tests.support import mutations

CHANGEIT = Passwords(Secret(b"changeit"))


def passwords(store: str, **by_alias: str) -> Passwords:
    return Passwords(Secret(store.encode()), by_alias={a: Secret(word.encode()) for a, word in by_alias.items()})


def known(store: Store) -> set[tuple[str, ...]]:
    return {described(each) for each in store.entries}


# What Java has written


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_key_that_keytool_makes_is_read_as_java_reads_it(tmp_path, algorithm):
    file = tmp_path / "store"
    size = {"RSA": ["-keysize", "2048"], "DSA": ["-keysize", "1024"], "EC": ["-groupname", "secp256r1"]}
    keytool("-genkeypair", "-storetype", "jks", "-keystore", file, "-storepass", "changeit", "-keypass", "another one",
            "-alias", "Web ONE", "-dname", "CN=web", "-keyalg", algorithm, *size.get(algorithm, []))  # fmt: skip
    found = keystore.read(file.read_bytes(), passwords("changeit", **{"web one": "another one"}))
    assert (found.kind, found.integrity) == (StoreKind.JKS, Integrity.CHECKED)
    (entry,) = found.keys
    assert entry.alias == "web one"
    assert entry.protection == "a chain of SHA-1 without rounds"
    assert entry.key
    # keytool writes DSA's certificates with a parameter that `cryptography` refuses.
    assert entry.key.belongs_to(entry.chain[0]) or (algorithm == "DSA" and entry.chain[0].fault)
    assert known(found) == dump("JKS", file, "changeit", {"web one": "another one"})


def test_chains_several_keys_and_trusted_certificates_are_read_as_java_reads_them(tmp_path):
    file, store = tmp_path / "store", ("-storetype", "jks", "-keystore", tmp_path / "store", "-storepass", "changeit")
    for algorithm in ("EC", "RSA"):
        pair(tmp_path, algorithm)
        (tmp_path / "key").write_bytes(pem_of_key(algorithm))
        subprocess.run(
            [tool("openssl"), "pkcs12", "-export", "-inkey", "key", "-in", "chain", "-out", algorithm, "-passout",
             "pass:changeit", "-name", f"Key {algorithm}"], cwd=tmp_path, check=True, capture_output=True
        )  # fmt: skip
        keytool("-importkeystore", "-srckeystore", tmp_path / algorithm, "-srcstorepass", "changeit", "-destkeystore",
                file, "-deststoretype", "jks", "-deststorepass", "changeit")  # fmt: skip
    keytool("-importcert", "-noprompt", "-alias", "wurzel-ü", "-file", tmp_path / "root", *store)
    found = jks.read(file.read_bytes(), CHANGEIT)
    assert sorted(each.alias for each in found.entries) == ["key ec", "key rsa", "wurzel-ü"]
    assert [len(each.chain) for each in found.keys] == [3, 3]
    assert len(found.trusted) == 1
    assert known(found) == dump("JKS", file, "changeit")


def pem_of_key(algorithm: str) -> bytes:
    key = key_and_chain(algorithm)[0].handle
    assert key
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pair(folder, algorithm: str) -> None:
    """A key, its chain and the root of it, as files."""
    key, chain = key_and_chain(algorithm)
    (folder / "key").write_bytes(key.pkcs8.reveal())
    (folder / "chain").write_bytes(pem_of(chain))
    (folder / "root").write_bytes(pem_of(chain[-1:]))


@pytest.mark.parametrize(
    ("store", "key"), [("", ""), ("", "key"), ("store", ""), ("Straße 🦆", "пароль"), ("a\0b", "x")]
)
def test_a_password_may_be_empty_or_any_text(tmp_path, store, key):
    pair(tmp_path, "EC")
    file = tmp_path / "store"
    files = (tmp_path / "key", tmp_path / "chain")
    ask_java("make", "JKS", file, hexed(store), hexed("ключ 🦆"), hexed(key), "EC", *files)
    found = jks.read(file.read_bytes(), passwords(store, **{"ключ 🦆": key}))
    assert known(found) == dump("JKS", file, store, {"ключ 🦆": key})
    with pytest.raises(StorePasswordWrong):
        jks.read(file.read_bytes(), passwords(store + "x"))
    (entry,) = jks.read(file.read_bytes(), passwords(store, **{"ключ 🦆": key + "x"})).keys
    assert (entry.key, entry.locked) == (None, "its password is another one")


def test_version_1_has_no_kinds_of_certificates_and_java_agrees(tmp_path):
    file = tmp_path / "store"
    entries = (key_entry("web"), trusted_entry("root"))
    content = jks.write(entries, CHANGEIT, NOW)
    body = content[:-20].replace(java_stream.text("X.509"), b"").replace(struct.pack(">I", 2), struct.pack(">I", 1), 1)
    file.write_bytes(body + java.tail("changeit", body))
    found = jks.read(file.read_bytes(), CHANGEIT)
    assert found.entries == tuple(replace(each, **protection(each)) for each in entries)
    assert any("version 1" in note for note in found.notes)
    assert not any("version 1" in note for note in jks.read(content, CHANGEIT).notes)
    assert known(found) == dump("JKS", file, "changeit")


def protection(entry) -> dict[str, str]:
    return {"protection": "a chain of SHA-1 without rounds"} if isinstance(entry, KeyEntry) else {}


# What we have written


def test_java_finds_every_entry_that_was_written(tmp_path):
    entries = [key_entry(f"key {each.lower()}", each) for each in ALGORITHMS]
    entries += [key_entry("short", "EC", 1, None), trusted_entry("root", "RSA"), trusted_entry("ünï 🦆\0", "EC")]
    words = passwords("Straße 🦆", **{"key rsa": "another", "short": ""})
    (tmp_path / "store").write_bytes(jks.write(entries, words, NOW + timedelta(days=1)))
    entries[4] = replace(entries[4], created=NOW + timedelta(days=1))
    expected = {described(each) for each in entries}
    assert dump("JKS", tmp_path / "store", "Straße 🦆", {"key rsa": "another", "short": ""}) == expected


def test_keytool_lists_what_was_written_and_takes_the_keys_to_pkcs12_for_openssl(tmp_path):
    file, entries = tmp_path / "store", [key_entry("WEB", "RSA"), key_entry("db", "Ed25519", 1), trusted_entry("Root")]
    words = passwords("changeit", WEB="webs own")
    file.write_bytes(jks.write(entries, words, NOW))
    listed = keytool("-list", "-v", "-keystore", file, "-storetype", "jks", "-storepass", "changeit")
    assert "Your keystore contains 3 entries" in listed
    assert set(re.findall(r"Alias name: (.*)", listed)) == {"web", "db", "root"}
    assert re.findall(r"Certificate chain length: (\d)", listed) in (["3", "1"], ["1", "3"])
    assert set(re.findall(r"Creation date: (.*)", listed)) == {"Jan 1, 2030"}
    for fingerprint in [each.fingerprint for each in entries[0].chain]:
        assert fingerprint in listed.replace(":", "").lower()
    for alias, own, entry in (("WEB", "webs own", entries[0]), ("db", "changeit", entries[1])):
        keytool("-importkeystore", "-srckeystore", file, "-srcstoretype", "jks", "-srcstorepass", "changeit",
                "-srcalias", alias, "-srckeypass", own, "-destkeystore", tmp_path / alias, "-deststoretype", "pkcs12",
                "-deststorepass", "changeit", "-destkeypass", "changeit")  # fmt: skip
        command = [tool("openssl"), "pkcs12", "-in", alias, "-passin", "pass:changeit", "-nodes", "-nocerts"]
        opened = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
        command = [tool("openssl"), "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]
        plain = subprocess.run(command, input=opened, capture_output=True, check=True).stdout
        assert plain == entry.key.pkcs8.reveal()


def test_java_refuses_what_was_changed_and_the_wrong_password(tmp_path):
    content = jks.write([key_entry("web")], CHANGEIT, NOW)
    (tmp_path / "store").write_bytes(content)
    assert dump("JKS", tmp_path / "store", "changeit")
    with pytest.raises(JavaSaysNo, match="password was incorrect"):
        dump("JKS", tmp_path / "store", "changeit2")
    (tmp_path / "store").write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
    with pytest.raises(JavaSaysNo, match="tampered"):
        dump("JKS", tmp_path / "store", "changeit")


_DATES = st.datetimes(timezones=st.just(NOW.tzinfo)).map(lambda date: date.replace(microsecond=date.microsecond // 1000 * 1000))  # fmt: skip
_CERTIFICATES = st.binary(max_size=40).map(StoredCertificate)
_ENTRY = st.one_of(
    st.builds(TrustedEntry, st.text(), _CERTIFICATES, st.none() | _DATES),
    st.builds(
        KeyEntry,
        st.text(),
        st.binary(max_size=100).map(lambda content: StoredKey(Secret(content))),
        st.lists(_CERTIFICATES, min_size=1, max_size=4).map(tuple),
        st.none() | _DATES,
    ),
)
_WORD = st.text().map(lambda word: Secret(word.encode()))


@given(st.lists(_ENTRY, unique_by=lambda each: each.alias.lower()), _WORD, st.none() | _WORD)
def test_what_is_written_is_read_back(entries, store, key):
    words = Passwords(store, key)
    lowered = [replace(each, alias=each.alias.lower()) for each in entries]
    found = jks.read(jks.write(entries, words, NOW), words)
    expected = (replace(each, created=each.created or NOW, **protection(each)) for each in lowered)
    assert found.entries == tuple(expected)
    assert (found.kind, found.integrity) == (StoreKind.JKS, Integrity.CHECKED)


def test_one_store_is_never_written_twice_in_the_same_way():
    entries = [key_entry("web"), key_entry("db")]
    first, second = (jks.write(entries, CHANGEIT, NOW) for _ in range(2))
    assert first != second
    hidden = [each.split(der.oid(jks.OID))[1][:40] for each in (first, second)]
    assert hidden[0] != hidden[1]
    only_trusted = [trusted_entry("root")]
    assert jks.write(only_trusted, CHANGEIT, NOW) == jks.write(only_trusted, CHANGEIT, NOW)


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        ([trusted_entry("Web"), trusted_entry("web")], StoreRefused, "several entries have the alias 'web'"),
        ([SecretEntry("aes", "AES", Secret(b"x" * 16))], StoreRefused, "no secret keys, and 'aes' is one"),
        ([KeyEntry("web", None, (), locked="needs a password")], KeyPasswordWrong, "'web' did not open: needs a p"),
        ([replace(key_entry("web"), chain=())], StoreRefused, "'web' has 0 certificates"),
        ([replace(key_entry("web"), chain=key_entry("web").chain[:1] * 101)], StoreRefused, "101 certificates"),
        ([trusted_entry("x" * 65_536)], StoreRefused, "65536 bytes"),
        ([trusted_entry("\ud800")], StoreRefused, "cannot hold the alias"),
        ([trusted_entry(str(n)) for n in range(MOST_ENTRIES + 1)], StoreRefused, "2001 entries; at most 2000"),
        ([TrustedEntry("big", StoredCertificate(b"x" * (4 << 20)))], StoreRefused, "larger than 4 MiB"),
    ],
)
def test_what_jks_cannot_hold_is_not_written(entries, error, said):
    with pytest.raises(error, match=re.escape(said)):
        jks.write(entries, CHANGEIT, NOW)


def test_what_it_can_hold_just_so_is_written_and_read():
    """The control of the limits above."""
    chain = key_entry("web").chain[:1] * 100
    entries = [trusted_entry("x" * 65_535), replace(key_entry("web"), chain=chain)]
    entries += [TrustedEntry(str(n), StoredCertificate(b"")) for n in range(MOST_ENTRIES - 2)]
    assert len(jks.read(jks.write(entries, CHANGEIT, NOW), CHANGEIT).entries) == MOST_ENTRIES


def test_it_is_not_written_without_a_password_or_with_one_that_is_no_text():
    for words in (Passwords(), Passwords(key=Secret(b"key")), Passwords(Secret(b"\xff"))):
        with pytest.raises(StorePasswordWrong):
            jks.write([trusted_entry("root")], words, NOW)


# Passwords


def test_without_a_password_everything_but_the_keys_is_read():
    found = jks.read(jks.write([key_entry("web"), trusted_entry("root")], CHANGEIT, NOW), Passwords())
    assert found.integrity == Integrity.NOT_CHECKED
    assert (found.keys[0].key, found.keys[0].locked) == (None, "needs a password")
    assert found.keys[0].chain == key_entry("web").chain
    assert found.trusted == (trusted_entry("root"),)


def test_a_keys_password_alone_opens_the_key():
    content = jks.write([key_entry("web")], passwords("changeit", web="another"), NOW)
    found = jks.read(content, Passwords(key=Secret(b"another")))
    assert found.integrity == Integrity.NOT_CHECKED
    assert found.keys[0].key == key_entry("web").key
    (locked,) = jks.read(content, CHANGEIT).keys
    assert (locked.key, locked.locked) == (None, "its password is another one")
    (locked,) = jks.read(content, Passwords(Secret(b"changeit"), Secret(b"\xff"))).keys
    assert "not UTF-8" in locked.locked


def test_a_wrong_password_of_the_store_is_told_from_a_damaged_one():
    content = jks.write([trusted_entry("root")], CHANGEIT, NOW)
    assert jks.read(content, CHANGEIT).trusted
    for words in (Passwords(Secret(b"wrong")), Passwords(Secret(b"\xff\xfe"))):
        with pytest.raises(StorePasswordWrong):
            jks.read(content, words)
    with pytest.raises(StoreUnreadable):
        jks.read(content[:-1], Passwords(Secret(b"wrong")))


# Odd and damaged stores


def frame(*entries: bytes, version: int = 2, count: int | None = None, password: str = "changeit") -> bytes:
    """A JKS of these entries."""
    body = (
        b"\xfe\xed\xfe\xed" + struct.pack(">II", version, len(entries) if count is None else count) + b"".join(entries)
    )
    return body + java.tail(password, body)


def trusted(alias: bytes = b"root", since: int = 0, kind: str = "X.509", content: bytes = b"content") -> bytes:
    start = struct.pack(">IH", 2, len(alias)) + alias + struct.pack(">q", since)
    return start + java_stream.text(kind) + java_stream.block(content)


def key(encrypted: bytes, length: int = 0) -> bytes:
    return (
        struct.pack(">I", 1)
        + java_stream.text("web")
        + struct.pack(">q", 0)
        + java_stream.block(encrypted)
        + struct.pack(">I", length)
    )


def test_an_empty_store_is_one():
    found = jks.read(frame(), CHANGEIT)
    assert (found.entries, found.integrity) == ((), Integrity.CHECKED)
    assert found == jks.read(jks.write([], CHANGEIT, NOW), CHANGEIT)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([trusted(b"a"), trusted(b"A")], "several entries have the alias 'a'"),
        ([trusted(b"a"), trusted(b"a")], "several entries have the alias 'a'"),
        ([trusted(b"")], "has no alias"),
        ([trusted(b"Root")], "'Root' has capital letters"),
        ([trusted(since=2**62)], "'root' has a date that no calendar has"),
        ([trusted(since=-(2**63))], "'root' has a date that no calendar has"),
        ([trusted(kind="PGP")], "'root' has a certificate of the kind 'PGP'"),
        ([key(b"x")], "'web' has a key without a certificate"),
    ],
)
def test_what_is_odd_is_noted(entries, said):
    assert any(said in note for note in jks.read(frame(*entries), CHANGEIT).notes)
    (note,) = jks.read(frame(trusted()), CHANGEIT).notes
    assert "SHA-1" in note
    assert said not in note


def test_what_people_are_told_of_an_alias_is_short_and_printable():
    (note,) = (
        each for each in jks.read(frame(trusted(b"\x1b[2J\n" + b"A" * 1000)), CHANGEIT).notes if "capital" in each
    )
    assert "'\\x1b[2J\\nAAA" in note
    assert note.isprintable()
    assert len(note) < 200


def test_java_does_not_find_an_alias_in_capitals_which_the_note_says(tmp_path):
    (_, chain), file = key_and_chain("EC"), tmp_path / "store"
    for alias, code in (("Root", 1), ("root", 0)):
        file.write_bytes(frame(trusted(alias.encode(), content=chain[-1].der)))
        command = [tool("keytool"), "-list", "-keystore", str(file), "-storepass", "changeit", "-alias", alias]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code
        assert len(jks.read(file.read_bytes(), CHANGEIT).trusted) == 1


@pytest.mark.parametrize(
    ("encrypted", "said"),
    [
        (b"", "damaged"),
        (b"\x30\x05\x30\x03\x06\x01\x80", "damaged"),
        (
            der.sequence(der.sequence(der.oid("1.2.3.4")), der.element(der.OCTET_STRING, b"x" * 60)),
            "locked by '1.2.3.4'",
        ),
        (der.sequence(der.sequence(der.oid(jks.OID)), der.element(der.OCTET_STRING, b"x" * 39)), "no salt"),
        (der.sequence(der.sequence(der.oid(jks.OID)), der.element(der.OCTET_STRING, b"x" * 40)), "another one"),
    ],
)
def test_a_damaged_key_stays_locked_and_the_rest_is_read(encrypted, said):
    web, root = jks.read(frame(key(encrypted), trusted()), CHANGEIT).entries
    assert isinstance(web, KeyEntry)
    assert web.key is None
    assert said in web.locked
    assert root == TrustedEntry("root", StoredCertificate(b"content"), java.EPOCH)


def test_certificates_and_keys_that_nobody_can_read_are_kept_with_their_fault():
    junk = KeyEntry("web", StoredKey(Secret(b"junk")), (StoredCertificate(b"junk"),), NOW)
    (entry,) = jks.read(jks.write([junk], CHANGEIT, NOW), CHANGEIT).keys
    assert entry.key
    assert (entry.key.handle, bool(entry.key.fault)) == (None, True)
    assert (entry.chain[0].certificate, bool(entry.chain[0].fault)) == (None, True)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", StoreUnreadable, "cut off"),
        (b"\xfe\xed\xfe\xed", StoreUnreadable, "cut off"),
        (b"\xfe\xed\xfa\xce" + frame()[4:], StoreUnreadable, "magic number of JKS"),
        (frame(version=3), StoreUnreadable, "version is 3"),
        (frame(version=0), StoreUnreadable, "version is 0"),
        (frame(count=2**32 - 1), StoreRefused, "4294967295 entries"),
        (frame(count=MOST_ENTRIES + 1), StoreRefused, "2001 entries"),
        (frame(count=MOST_ENTRIES), StoreUnreadable, "an entry's tag needs 4 bytes"),
        (frame(struct.pack(">I", 3)), StoreUnreadable, "the tag 3; there are 1 to 2"),
        (frame(trusted())[:-1], StoreUnreadable, "cut off"),
        (frame(trusted(b"\xff")), StoreUnreadable, "an alias is not text"),
        (frame(key(b"x", 101)), StoreRefused, "'web' has 101 certificates"),
        (frame(key(b"x", 100)), StoreUnreadable, "a certificate's kind needs 2 bytes"),
        (frame(struct.pack(">IHqHI", 2, 0, 0, 0, 2**32 - 1)), StoreUnreadable, "a certificate needs 4294967295 bytes"),
    ],
)
def test_what_is_no_whole_store_is_told_in_a_line(content, error, said):
    for words in (Passwords(), CHANGEIT):
        with pytest.raises(error, match=re.escape(said)) as raised:
            jks.read(content, words)
        assert "\n" not in str(raised.value)


def test_every_store_that_is_cut_off_is_unreadable():
    content = jks.write([key_entry("web", "EC", 1), trusted_entry("root")], CHANGEIT, NOW)
    assert jks.read(content, Passwords()).entries
    for end in range(len(content)):
        with pytest.raises(StoreUnreadable):
            jks.read(content[:end], Passwords())


_WHOLE = jks.write([key_entry("web", "EC", 2), trusted_entry("root", "EC")], CHANGEIT, NOW)


@given(mutations(_WHOLE))
def test_damaged_bytes_are_a_store_or_one_of_its_errors_and_are_never_believed(content):
    key_only = Passwords(key=Secret(b"changeit"))
    for words in (Passwords(), key_only):
        try:
            found = jks.read(content, words)
        except (StoreUnreadable, StoreRefused):
            continue
        assert found.integrity == Integrity.NOT_CHECKED
        for each in found.keys:
            assert (each.key is None) == bool(each.locked)
    try:
        checked = jks.read(content, CHANGEIT)
    except (StoreUnreadable, StoreRefused, StorePasswordWrong):
        return
    assert content.startswith(_WHOLE)  # bytes that follow its end are noted
    assert checked.integrity == Integrity.CHECKED


def test_bytes_after_the_end_are_noted_and_do_not_hinder_as_in_java():
    found = jks.read(_WHOLE + b"\n\n", CHANGEIT)
    assert "2 bytes follow its end" in found.notes
    assert found.entries == jks.read(_WHOLE, CHANGEIT).entries
