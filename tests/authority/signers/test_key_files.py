"""Keys in files: plain when nobody gave a password, encrypted when somebody did, and never half of both for long."""

from __future__ import annotations

import subprocess

import pytest

from handsel.authority.adapters.signers.custody import PASSWORD_VARIABLE, open_keys, read_password
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.errors import StateError, UsageError
from handsel.model.authority import Keys
from handsel.pki.keys import KeyType
from handsel.pki.secret import Secret
from tests.support import NOW, TRUST_DOMAIN

PASSWORD, OTHER = Secret(b"a long password"), Secret(b"another password")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "authority"


def test_a_key_is_encrypted_when_there_is_a_password_and_openssl_can_read_it(folder):
    key = FileKeys(folder, PASSWORD).make("root", KeyType.P256)
    path = folder / "root.key"
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert FileKeys(folder, PASSWORD).load("root").pin() == key.pin()
    for password, code in ((PASSWORD, 0), (OTHER, 1)):
        command = ["openssl", "pkey", "-in", str(path), "-noout", "-passin", f"pass:{password.reveal().decode()}"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def test_without_a_password_a_key_is_as_it_always_was(folder):
    key = FileKeys(folder).make("root", KeyType.P256)
    assert (folder / "root.key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert FileKeys(folder).load("root").pin() == key.pin()


def test_a_wrong_password_and_none_are_told_in_one_line(folder):
    FileKeys(folder, PASSWORD).make("root", KeyType.P256)
    with pytest.raises(StateError, match="is encrypted") as caught:
        FileKeys(folder).load("root")
    assert "password" in caught.value.next_step
    with pytest.raises(StateError, match=r"root\.key cannot be read") as caught:
        FileKeys(folder, OTHER).load("root")
    assert "\n" not in str(caught.value)
    assert FileKeys(folder, PASSWORD).load("root")


def test_a_key_that_is_not_encrypted_yet_is_read_when_there_is_a_password(folder):
    key = FileKeys(folder).make("root", KeyType.P256)
    assert FileKeys(folder, PASSWORD).load("root").pin() == key.pin()


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.RSA2048, KeyType.ED25519, KeyType.MLDSA65], ids=str)
def test_every_kind_of_key_is_encrypted(folder, kind):
    key = FileKeys(folder, PASSWORD).make("root", kind)
    assert FileKeys(folder, PASSWORD).load("root").pin() == key.pin()


def test_encrypting_keeps_every_key_and_can_be_done_again(folder):
    keys = FileKeys(folder)
    before = {name: keys.make(name, KeyType.P256).pin() for name in ("root", "root-next", "issuing")}
    assert sorted(keys.encrypt(PASSWORD)) == sorted(before)
    for file in folder.glob("*.key"):
        assert b"ENCRYPTED" in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    assert {name: FileKeys(folder, PASSWORD).load(name).pin() for name in before} == before
    assert FileKeys(folder, PASSWORD).encrypt(OTHER)
    assert {name: FileKeys(folder, OTHER).load(name).pin() for name in before} == before
    with pytest.raises(StateError):
        FileKeys(folder, PASSWORD).load("root")


def test_a_crash_in_the_middle_of_encrypting_is_made_good_by_doing_it_again(folder):
    keys = FileKeys(folder)
    before = {name: keys.make(name, KeyType.P256).pin() for name in ("root", "issuing")}
    half = FileKeys(folder, PASSWORD)
    half.put("root", half.load("root"))
    FileKeys(folder).encrypt(PASSWORD)
    assert {name: FileKeys(folder, PASSWORD).load(name).pin() for name in before} == before


def test_nothing_is_encrypted_when_one_key_cannot_be_read(folder):
    keys = FileKeys(folder)
    keys.make("issuing", KeyType.P256)
    keys.make("root", KeyType.P256)
    (folder / "root.key").write_bytes(b"nonsense")
    with pytest.raises(StateError):
        keys.encrypt(PASSWORD)
    assert b"ENCRYPTED" not in (folder / "issuing.key").read_bytes()


def test_the_signer_of_the_journal_is_not_touched(folder):
    keys = FileKeys(folder)
    keys.make("root", KeyType.P256)
    keys.make("journal", KeyType.P256)
    keys.encrypt(PASSWORD)
    assert b"ENCRYPTED" not in (folder / "journal.key").read_bytes()


def test_custody_is_told_by_the_files_and_not_by_the_password(folder):
    keys = FileKeys(folder)
    for name in ("issuing", "root"):
        keys.make(name, KeyType.P256)
    assert "not encrypted" in FileKeys(folder, PASSWORD).custody
    FileKeys(folder, PASSWORD).put("root", keys.load("root"))
    assert "1 of 2 encrypted" in FileKeys(folder).custody
    keys.encrypt(PASSWORD)
    assert "encrypted with a password" in FileKeys(folder).custody
    assert "of 2" not in FileKeys(folder).custody


def test_an_authority_behind_a_password_is_opened_by_it_alone(folder):
    made, _ = KeyFolder(folder, FileKeys(folder, PASSWORD)).open(TRUST_DOMAIN, now=NOW)
    again, _ = KeyFolder(folder, FileKeys(folder, PASSWORD)).open(TRUST_DOMAIN, now=NOW)
    assert again.certificate == made.certificate
    assert len(KeyFolder(folder, FileKeys(folder, PASSWORD)).pins()) == 2
    with pytest.raises(StateError, match="is encrypted"):
        KeyFolder(folder).open(TRUST_DOMAIN, now=NOW)


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("a long password\n")
    path.chmod(0o600)
    return path


def test_the_password_is_named_by_option_environment_mesh_file_or_systemd(folder, password_file, monkeypatch, tmp_path):
    for name in (PASSWORD_VARIABLE, "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    FileKeys(folder, PASSWORD).make("root", KeyType.P256)
    with pytest.raises(StateError, match="is encrypted"):
        open_keys(folder, Keys()).load("root")
    assert open_keys(folder, Keys(), password_file).load("root")
    assert open_keys(folder, Keys(password_file=str(password_file))).load("root")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(StateError, match="is encrypted"):
        open_keys(folder, Keys()).load("root")
    password_file.rename(tmp_path / "handsel-key-password")
    assert open_keys(folder, Keys()).load("root")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.setenv(PASSWORD_VARIABLE, str(tmp_path / "handsel-key-password"))
    assert open_keys(folder, Keys()).load("root")


@pytest.mark.parametrize(
    ("content", "mode", "error", "why"),
    [
        (b"short\n", 0o600, UsageError, "12 to 1024"),
        (b"", 0o600, UsageError, "12 to 1024"),
        (b"x" * 2000, 0o600, UsageError, "12 to 1024"),
        (b"a long password\n", 0o604, StateError, "can be read by everybody"),
        (None, 0o600, StateError, "cannot be read"),
    ],
)
def test_a_password_that_is_none_is_refused(tmp_path, content, mode, error, why):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(error, match=why) as caught:
        read_password(path)
    assert "long password" not in str(caught.value)


def test_the_first_line_of_the_file_is_the_password(password_file):
    password_file.write_text("a long password\r\nand a remark\n")
    assert read_password(password_file) == PASSWORD
