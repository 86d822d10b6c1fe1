"""PKCS12 as nobody honest writes it: each is refused in a line, in little time, and what is merely odd is noted."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given

from handsel.errors import HandselError, StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki import der
from handsel.pki.keystore import Integrity, KeyEntry, Passwords, StoreKind, TrustedEntry, detect, pkcs12
from handsel.pki.keystore import pkcs12_bags as form
from handsel.pki.keystore.model import MOST_ENTRIES, MOST_ROUNDS
from tests.pki.keystore.java_tools import key_and_chain
from tests.pki.keystore.pkcs12_tools import (
    CHANGEIT,
    bag,
    certificate_bag,
    data_part,
    encrypted_part,
    exported,
    file_of,
    key_id,
    mac_of,
    named,
    octets,
    opened,
    pbes2,
)
from tests.support import mutations

KEY, CHAIN = key_and_chain("EC")
PLAIN = KEY.pkcs8.reveal()


def bags(*each: bytes) -> bytes:
    """A file with these bags in clear."""
    return file_of(data_part(der.sequence(*each)))


def shrouded(rounds: int, salt: bytes = b"saltsalt") -> bytes:
    return bag(form.SHROUDED_BAG, der.sequence(pbes2(rounds, salt), octets(bytes(32))), named("web"))


def refused(content: bytes, kind: type[HandselError], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=words) as found:
        opened(content)
    assert "\n" not in str(found.value)
    assert time.monotonic() - began < 3


# Too much


@pytest.mark.parametrize(
    "content",
    [
        file_of(mac=mac_of(MOST_ROUNDS + 1)),
        file_of(encrypted_part(pbes2(MOST_ROUNDS + 1))),
        bags(shrouded(MOST_ROUNDS + 1)),
        bags(shrouded(2**31 - 1)),
        file_of(*(encrypted_part(pbes2(MOST_ROUNDS // 2, b"salt%d" % number)) for number in range(3))),
        bags(*(shrouded(MOST_ROUNDS // 100, b"salt%d" % number) for number in range(101))),
    ],
    ids=["check", "part", "key", "largest", "sum of parts", "sum of keys"],
)
def test_too_many_rounds_are_refused_before_the_first(content):
    refused(content, StoreRefused, rf"it asks for \d+ rounds of key derivation, more than {MOST_ROUNDS}")


def test_rounds_over_one_salt_are_done_and_counted_once():
    """The control of the sum: a hundred keys of one salt are one derivation."""
    store = opened(bags(*(shrouded(MOST_ROUNDS // 100) for _ in range(101))))
    assert {each.locked for each in store.keys} == {"its password is another one"}


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_rounds_at_all_are_nonsense(rounds):
    number = der.element(der.INTEGER, rounds.to_bytes(4, signed=True))
    algorithm = der.sequence(der.oid("1.2.840.113549.1.12.1.3"), der.sequence(octets(b"saltsalt"), number))
    refused(file_of(encrypted_part(algorithm)), StoreUnreadable, "no round of key derivation at all")
    (shut,) = opened(bags(bag(form.SHROUDED_BAG, der.sequence(algorithm, octets(bytes(8)))))).keys
    assert shut.locked.startswith("it is damaged")


def test_too_many_entries_are_refused():
    one = certificate_bag(CHAIN[0].der[:20], named("web"))
    assert len(opened(bags(*[one] * MOST_ENTRIES)).entries) == MOST_ENTRIES
    refused(bags(*[one] * (MOST_ENTRIES + 1)), StoreRefused, "more than 2000 entries")
    refused(bags(*[one] * (2 * MOST_ENTRIES + 1)), StoreRefused, "more than 4000 keys and certificates")
    refused(file_of(*[data_part(der.sequence())] * (MOST_ENTRIES + 1)), StoreRefused, "more than 2000 parts")


def test_bags_in_bags_are_opened_but_not_for_ever():
    inner = certificate_bag(CHAIN[0].der, named("deep"))
    for _ in range(8):
        inner = bag(form.NESTED_BAG, der.sequence(inner))
    assert [each.alias for each in opened(bags(inner)).entries] == ["deep"]
    refused(bags(bag(form.NESTED_BAG, der.sequence(inner))), StoreUnreadable, "too deep")


def test_a_huge_salt_and_much_memory_are_refused():
    refused(file_of(encrypted_part(pbes2(1, bytes(2000)))), StoreRefused, "a salt in it has 2000 bytes")
    numbers = der.sequence(octets(b"salt"), der.integer(2**20), der.integer(8), der.integer(1))
    cipher = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), octets(bytes(16)))
    scrypt = der.sequence(der.oid("1.3.6.1.4.1.11591.4.11"), numbers)
    algorithm = der.sequence(der.oid("1.2.840.113549.1.5.13"), der.sequence(scrypt, cipher))
    refused(file_of(encrypted_part(algorithm)), StoreRefused, "scrypt asks for more than 64 MiB")


@pytest.mark.parametrize("size", [b"\x84\x7f\xff\xff\xff", b"\x88" + b"\xff" * 8, b"\xff", b"\x84", b""])
def test_a_huge_length_is_no_file(size):
    refused(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x03\x30" + size, StoreUnreadable, "no PKCS12 file, or a damaged one")


def test_ber_nested_for_ever_is_no_file():
    refused(b"\x30\x80\x02\x01\x03" + b"\x30\x80" * 100_000, StoreUnreadable, "nested too deep")


# Another kind


def test_what_is_kept_in_an_unknown_way_is_refused_by_name():
    unknown = der.sequence(der.oid("1.2.840.113549.1.12.1.99"), der.sequence())
    refused(file_of(encrypted_part(unknown)), StoreRefused, "the encryption 1.2.840.113549.1.12.1.99 is not read")
    (shut,) = opened(bags(bag(form.SHROUDED_BAG, der.sequence(unknown, octets(b"")), named("web")))).keys
    assert shut.locked == "the encryption 1.2.840.113549.1.12.1.99 is not read"
    signed = der.sequence(der.integer(3), der.sequence(der.oid(form.SIGNED), der.element(der.CONTEXT)))
    refused(signed, StoreRefused, "it is kept by a signature, not by a password")


def test_parts_and_bags_of_other_kinds_are_noted():
    enveloped = der.sequence(der.oid(form.ENVELOPED), der.element(der.CONTEXT))
    crl = bag(form.CRL_BAG, der.sequence())
    odd = bag("1.2.3.4", der.sequence())
    sdsi = bag(form.CERTIFICATE_BAG, der.sequence(der.oid("1.2.840.113549.1.9.22.2"), der.element(der.CONTEXT)))
    store = opened(file_of(enveloped, data_part(der.sequence(crl, odd, sdsi))))
    assert set(store.notes) == {
        "it carries no check: whoever can write it can change it unseen",
        "a part of it is encrypted to a certificate, and is not read",
        "a CRL in it is not read",
        "something of the kind 1.2.3.4 in it is not read",
        "a certificate in it is none of X.509, and is not read",
    }


def test_an_empty_file_of_this_form_is_an_empty_store():
    assert opened(file_of()).entries == ()


# Joining


def test_keys_in_clear_are_joined_by_identifier_else_by_the_key():
    own, other = key_and_chain("Ed25519"), key_and_chain("EC")
    content = bags(
        *(certificate_bag(each.der) for each in (*other[1][::-1], *own[1])),
        bag(form.KEY_BAG, own[0].pkcs8.reveal(), named("first")),
        bag(form.KEY_BAG, other[0].pkcs8.reveal(), named("second")),
    )
    store = opened(content)
    assert [(each.alias, each.chain) for each in store.keys] == [("first", own[1]), ("second", other[1])]
    assert store.integrity == Integrity.NONE
    # An identifier is believed, also where the certificate is for another key: whoever looks can see that.
    content = bags(
        certificate_bag(other[1][0].der, key_id(b"1")), bag(form.KEY_BAG, own[0].pkcs8.reveal(), key_id(b"1"))
    )
    (joined,) = opened(content).keys
    assert joined.chain == other[1][:1]
    assert joined.key
    assert not joined.key.belongs_to(joined.chain[0])


def test_of_several_certificates_with_one_identifier_the_one_for_the_key_is_taken():
    other = key_and_chain("Ed25519")[1][0]
    content = bags(*(certificate_bag(each.der, key_id(b"1")) for each in (other, CHAIN[0])),
                   bag(form.KEY_BAG, PLAIN, key_id(b"1"), named("web")))  # fmt: skip
    store = opened(content)
    assert store.keys[0].chain == (CHAIN[0],)
    assert [each.certificate for each in store.trusted] == [other]


def test_aliases_that_differ_by_case_are_noted():
    first, second = (certificate_bag(CHAIN[number].der, named(name)) for number, name in ((0, "web"), (1, "WEB")))
    store = opened(bags(first, second))
    assert [each.alias for each in store.entries] == ["web", "WEB"]
    assert "several entries have the alias 'web': Java shows one of them" in store.notes


def test_numbers_for_the_nameless_pass_over_names_that_are_numbers():
    store = opened(bags(*(certificate_bag(each.der, *marks) for each, marks in
                          zip(CHAIN, ((), (named("1"),), ()), strict=True))))  # fmt: skip
    assert [each.alias for each in store.entries] == ["2", "1", "3"]


def test_what_the_library_cannot_parse_stays_with_its_fault():
    odd = der.sequence(der.sequence(der.integer(1)), der.sequence(), der.bit_string(b"x"))
    unknown = der.sequence(der.integer(0), der.sequence(der.oid("1.2.3.4.5")), octets(b"key"))
    store = opened(bags(certificate_bag(odd, named("odd")), bag(form.KEY_BAG, unknown, named("unknown"))))
    (trusted,), (key,) = store.trusted, store.keys
    assert trusted.certificate.fault
    assert len(trusted.certificate.fingerprint) == 64
    assert key.key
    assert key.key.fault
    (damaged,) = opened(bags(bag(form.KEY_BAG, octets(b"no key"), named("no")))).keys
    assert damaged.key is None
    assert damaged.locked.startswith("it is damaged")


def test_a_ring_of_issuers_ends():
    """Each certificate is asked for once a chain, whatever the names say."""
    several = [each for algorithm in ("EC", "Ed25519") for each in key_and_chain(algorithm)[1]]
    content = bags(
        *(certificate_bag(each.der, key_id(b"1")) for each in several * 3), bag(form.KEY_BAG, PLAIN, key_id(b"1"))
    )
    assert opened(content).keys[0].chain == CHAIN


# Any bytes


@functools.cache
def _samples() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        plain = exported(Path(folder), "-keypbe", "NONE", "-certpbe", "NONE", "-nomac")
        return plain, exported(Path(folder), "-iter", "1", "-legacy"), bags(shrouded(1), certificate_bag(CHAIN[0].der))


@pytest.mark.parametrize("number", range(3))
def test_damage_raises_nothing_but_the_errors_of_stores(number):
    @given(mutations(_samples()[number]))
    def check(content: bytes) -> None:
        for passwords in (Passwords(), CHANGEIT):
            try:
                store = pkcs12.read(content, passwords)
            except (StoreUnreadable, StoreRefused, StorePasswordWrong) as error:
                assert "\n" not in str(error)  # noqa: PT017
                continue
            for each in store.entries:
                assert isinstance(each, TrustedEntry) or (each.key is None) == bool(each.locked)
                if isinstance(each, KeyEntry) and each.key:
                    assert each.key.handle or each.key.fault

    check()


def test_it_is_told_by_its_bytes(tmp_path):
    assert detect(exported(tmp_path)) == detect(file_of()) == StoreKind.PKCS12
    assert detect(b"\x30\x80\x02\x01\x03\x30\x80") == StoreKind.PKCS12
    assert detect(CHAIN[0].der) == detect(PLAIN) == StoreKind.PEM
