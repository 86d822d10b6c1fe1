"""What is wrong with the entries of a store, said plainly; each fault beside a store that has none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from handsel.pki.keystore import Entry, Integrity, KeyEntry, SecretEntry, Store, StoreKind, TrustedEntry
from handsel.pki.keystore.model import StoredCertificate, StoredKey
from handsel.pki.keystore.report import EntryReport, report
from handsel.pki.secret import Secret
from tests.pki.keystore.samples import (
    NOW,
    certificate,
    chain_of,
    key_entry,
    key_of,
    locked_entry,
    secret_entry,
    trusted_entry,
)

DAY = timedelta(days=1)


def reported(*entries: Entry) -> tuple[EntryReport, ...]:
    return report(Store(StoreKind.JKS, entries, Integrity.CHECKED), NOW).entries


def test_nothing_is_wrong_with_what_is_right() -> None:
    found = report(
        Store(StoreKind.JKS, (key_entry("web"), trusted_entry("root"), secret_entry("s")), Integrity.CHECKED), NOW
    )
    assert [(each.kind, each.problems) for each in found.entries] == [("key", ()), ("trusted", ()), ("secret", ())]
    assert found.ok
    web = found.entries[0]
    assert web.chain == "3 certificates, each signed by the next; up to its root 'root'"
    assert web.leaf is not None
    assert web.leaf.subject == "CN=web"


def _weak() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def _rsa_with_exponent_3() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(3, 2048)


def _of(key: rsa.RSAPrivateKey) -> Entry:
    return key_entry("web", [certificate("web", key=key)], key=key)


WRONG: list[tuple[str, Callable[[], Entry]]] = [
    ("expired 3 days ago", lambda: key_entry("web", [certificate("web", start=-9 * DAY, end=-3 * DAY)])),
    ("not valid for another 5 days", lambda: key_entry("web", [certificate("web", start=5 * DAY)])),
    ("RSA key of 1024 bits: too short", lambda: _of(_weak())),
    ("the key has the exponent 3", lambda: _of(_rsa_with_exponent_3())),
    ("its certificate is a CA's", lambda: key_entry("web", [certificate("web", ca=True)])),
    ("incomplete: its issuer 'middle' is not in the store", lambda: key_entry("web", [certificate("web", "middle")])),
    ("out of order: the right one is 1, 3, 2", lambda: key_entry("web", [chain_of("web")[n] for n in (0, 2, 1)])),
    ("certificate 4 does not belong to the chain",
     lambda: key_entry("web", [*chain_of("web"), certificate("x", ca=True)])),
    ("the key does not belong to its certificate", lambda: key_entry("web", key=key_of("another"))),
    ("no certificate for the key", lambda: key_entry("web", [])),
    ("locked: its password is another one", lambda: locked_entry("web")),
    ("locked: needs a password", lambda: SecretEntry("s", "AES", None, NOW, "needs a password")),
    ("its key is of a kind that is not known here",
     lambda: KeyEntry("web", StoredKey(Secret(b"\x30\x03\x02\x01\x00")), chain_of("web"), NOW)),
    ("certificate 2 (CN=middle): expired 2 days ago",
     lambda: key_entry("web", [certificate("web", "middle"),
                               certificate("middle", "root", ca=True, start=-9 * DAY, end=-2 * DAY)])),
    ("certificate 1 cannot be read; its SHA-256 is ", lambda: TrustedEntry("odd", StoredCertificate(b"\x30\x00"))),
    ("certificate 2 cannot be read; its SHA-256 is ",
     lambda: key_entry("web", [certificate("web"), StoredCertificate(b"nonsense")])),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "make"), WRONG, ids=[expected for expected, _ in WRONG])
def test_what_is_wrong_is_said(expected: str, make: Callable[[], Entry]) -> None:
    (found,) = reported(make())
    (problem,) = found.problems
    assert problem.startswith(expected)


def test_a_key_that_belongs_to_another_certificate_of_its_chain() -> None:
    (found,) = reported(key_entry("web", [certificate("middle", "root", ca=True), certificate("web", "middle")]))
    assert "the key does not belong to its certificate; certificate 2 is its own" in found.problems
    assert "out of order: the right one is 2, 1" in found.problems


def test_a_missing_root_is_no_fault_nor_an_issuer_that_is_trusted_here() -> None:
    """Whoever verifies has the root; and a store may keep the issuer beside the key."""
    assert reported(key_entry("web", chain_of("web")[:2]))[0].problems == ()
    leaf = key_entry("web", [certificate("web", "middle")])
    assert reported(leaf, TrustedEntry("middle", certificate("middle", "root", ca=True)))[0].problems == ()
    assert reported(leaf, trusted_entry("another"))[0].problems != ()


def test_only_entries_decide_whether_all_is_well() -> None:
    store = Store(StoreKind.JKS, (trusted_entry("root"),), Integrity.NOT_CHECKED, ("its keys are locked weakly",))
    assert report(store, NOW).ok
    assert not report(Store(StoreKind.JKS, (locked_entry("web"),), Integrity.CHECKED), NOW).ok
