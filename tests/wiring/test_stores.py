"""Key stores as files: who is asked for a password and when, and what is written is what is read again."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.errors import Bug, KeyPasswordWrong, StorePasswordWrong, UsageError
from handsel.pki.keystore import Entry, Integrity, KeyEntry, StoreKind, TrustedEntry, jks
from handsel.pki.keystore.edit import Contents
from handsel.pki.keystore.model import Passwords
from handsel.pki.secret import Secret
from handsel.wiring import stores
from handsel.wiring.stores import VARIABLE, Subject, Target, open_store, write_store
from tests.pki.keystore.samples import NOW, key_entry, locked_entry, secret_entry, trusted_entry

PASSWORD, OWN = Secret(b"correct horse"), Secret(b"battery staple")
_ENTRIES: list[Entry] = [
    key_entry("web"), key_entry("shop"), key_entry("bare", []), trusted_entry("root"), trusted_entry("other"),
    secret_entry("aes"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


class Person:
    """Somebody at a terminal, who gives an answer and counts the questions."""

    def __init__(self, answer: Secret = PASSWORD) -> None:
        self.answer, self.asked = answer, list[str]()

    def __call__(self, what: str, *, twice: bool = False) -> Secret:
        self.asked.append(what)
        return self.answer


def written(folder: Path, kind: StoreKind, *entries: Entry, own: dict[str, Secret] | None = None) -> Path:
    file = folder / f"a.{kind}"
    write_store(Target(file, kind, force=True), Contents(entries, own or {}), PASSWORD, NOW)
    return file


def secret_file(folder: Path, password: Secret) -> Path:
    file = folder / f"password-{len(list(folder.iterdir()))}"
    file.write_bytes(password.reveal())
    file.chmod(0o600)
    return file


# What is written is what is read


@given(
    st.lists(st.sampled_from(_ENTRIES), unique_by=lambda each: each.alias, min_size=1),
    st.lists(st.sampled_from([StoreKind.JKS, StoreKind.PKCS12]), min_size=1, max_size=2),
)
@settings(max_examples=30, deadline=None)
def test_what_fits_comes_back_the_same_through_several_formats(entries: list[Entry], kinds: list[StoreKind]) -> None:
    there = Contents(tuple(entries))
    with tempfile.TemporaryDirectory(prefix="hs") as name:
        for number, kind in enumerate(kinds):
            there, _ = there.fit(kind, lossy=True)
            file = Path(name) / str(number)
            write_store(Target(file, kind), there, PASSWORD, NOW)
            opened = open_store(Subject(file, secret_file(Path(name), PASSWORD)), whole=True)
            assert opened.store.integrity is Integrity.CHECKED
            assert _described(opened.contents) == _described(there)
            there = opened.contents


def _described(contents: Contents) -> set[object]:
    return {
        (each.alias, each.certificate.der)
        if isinstance(each, TrustedEntry)
        else (each.alias, each.key.pkcs8 if isinstance(each, KeyEntry) else each.key, getattr(each, "chain", ()))
        for each in contents.entries
        if isinstance(each, TrustedEntry) or each.key is not None
    }


def test_a_store_that_does_not_hold_what_it_should_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a writer ever lose something, the file that is there stays: the control is the same without the fault."""
    file = written(tmp_path, StoreKind.JKS, trusted_entry("root"))
    before = file.read_bytes()
    both = Contents((trusted_entry("root"), trusted_entry("other")))
    faulty = {**stores._WRITERS, StoreKind.JKS: lambda entries, passwords, now: jks.write(entries[:1], passwords, now)}
    with monkeypatch.context() as patched:
        patched.setattr(stores, "_WRITERS", faulty)
        with pytest.raises(Bug, match="nothing was written"):
            write_store(Target(file, StoreKind.JKS, force=True), both, PASSWORD, NOW)
    assert file.read_bytes() == before
    write_store(Target(file, StoreKind.JKS, force=True), both, PASSWORD, NOW)
    assert file.read_bytes() != before


def test_a_locked_key_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = written(tmp_path, StoreKind.JKS, trusted_entry("root"))
    before = file.read_bytes()
    with pytest.raises(KeyPasswordWrong, match=r"a\.jks: the key of 'web' is locked"):
        write_store(Target(file, StoreKind.JKS, force=True), Contents((locked_entry("web"),)), PASSWORD, NOW)
    assert file.read_bytes() == before


# Who is asked


def test_a_list_asks_only_where_nothing_can_be_read_without(tmp_path: Path) -> None:
    for kind, questions in ((StoreKind.JKS, 0), (StoreKind.PEM, 0), (StoreKind.PKCS12, 1)):
        person = Person()
        file = written(tmp_path, kind, trusted_entry("root"))
        opened = open_store(Subject(file, ask=person), whole=False)
        assert len(opened.store.trusted) == 1
        assert person.asked == [f"Password of {file}"] * questions


def test_what_writes_asks_when_no_password_was_named(tmp_path: Path) -> None:
    file, person = written(tmp_path, StoreKind.JKS, key_entry("web")), Person()
    assert open_store(Subject(file, ask=person), whole=True).store.integrity is Integrity.CHECKED
    assert len(person.asked) == 1
    named = Subject(file, secret_file(tmp_path, PASSWORD), ask=person)
    assert open_store(named, whole=True).store.integrity is Integrity.CHECKED
    assert len(person.asked) == 1
    with pytest.raises(StorePasswordWrong, match=r"a\.jks: it needs a password") as refused:
        open_store(Subject(file, option="--from-password-file"), whole=True)
    assert refused.value.next_step.startswith("name the file with its password (--from-password-file)")
    with pytest.raises(StorePasswordWrong):
        open_store(Subject(file, ask=Person(OWN)), whole=True)


def test_the_variable_counts_after_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, StoreKind.JKS, key_entry("web"))
    monkeypatch.setenv(VARIABLE, PASSWORD.reveal().decode())
    assert open_store(Subject(file), whole=True).store.integrity is Integrity.CHECKED
    with pytest.raises(StorePasswordWrong):
        open_store(Subject(file, secret_file(tmp_path, OWN)), whole=True)
    monkeypatch.setenv(VARIABLE, "wrong")
    assert open_store(Subject(file, secret_file(tmp_path, PASSWORD)), whole=True).store.keys[0].key


def test_keys_may_have_the_password_of_keys_or_that_of_the_store(tmp_path: Path) -> None:
    file = written(tmp_path, StoreKind.JKS, key_entry("web"), key_entry("shop"), own={"web": OWN})
    subject = Subject(file, secret_file(tmp_path, PASSWORD))
    assert [each.alias for each in open_store(subject, whole=False).store.keys if each.key] == ["shop"]
    opened = open_store(replace(subject, key_password_file=secret_file(tmp_path, OWN)), whole=True)
    assert all(each.key for each in opened.store.keys)
    assert opened.contents.own == {"web": OWN}
    assert opened.passwords.of_key("shop") == PASSWORD


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    contents = Contents((trusted_entry("root"),))
    for file, said in (
        (tmp_path / "none" / "a", "cannot be written: No such file"),
        (tmp_path, "is no ordinary file"),
        (tmp_path / ("a" * 300), "cannot be written: File name too long"),
    ):
        with pytest.raises(UsageError, match=said):
            write_store(Target(file, StoreKind.JKS, force=True), contents, PASSWORD, NOW)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UsageError, match="circle cannot be written"):
        write_store(Target(tmp_path / "circle", StoreKind.JKS, force=True), contents, PASSWORD, NOW)
    write_store(Target(tmp_path / "a", StoreKind.JKS), contents, PASSWORD, NOW)
    assert jks.read((tmp_path / "a").read_bytes(), Passwords(PASSWORD)).integrity is Integrity.CHECKED
