"""Encrypted key files: what is written, which password opens it, and encryption in place."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.adapters.signers.custody import CREDENTIAL, PASSWORD_VARIABLE, open_keys, read_password
from handsel.authority.adapters.signers.files import FileKeys
from handsel.errors import StateError, UsageError
from handsel.model.authority import Keys
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.secret import Secret
from tests.support import NOW, TRUST_DOMAIN

PASSWORD, OTHER = Secret(b"correct horse battery"), Secret(b"another long password")


def test_a_key_with_a_password_is_encrypted_and_opens_with_it_alone(tmp_path):
    made = FileKeys(tmp_path / "keys", PASSWORD).make("root", KeyType.P384)
    pem = (tmp_path / "keys" / "root.key").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert load_pem_private_key(pem, PASSWORD.reveal()).public_key() == made.handle.public_key()
    assert FileKeys(tmp_path / "keys", PASSWORD).load("root").public_der() == made.public_der()
    with pytest.raises(StateError, match="is encrypted") as caught:
        FileKeys(tmp_path / "keys").load("root")
    assert "--key-password-file" in caught.value.next_step
    with pytest.raises(StateError, match="cannot be read"):
        FileKeys(tmp_path / "keys", OTHER).load("root")


def test_a_whole_authority_lives_on_encrypted_keys(tmp_path):
    folder = tmp_path / "authority"
    issuer, made = KeyFolder(folder, FileKeys(folder, PASSWORD)).open(TRUST_DOMAIN, now=NOW)
    again, _ = KeyFolder(folder, FileKeys(folder, PASSWORD)).open(TRUST_DOMAIN, now=NOW)
    assert made
    assert again.certificate == issuer.certificate
    assert all(b"ENCRYPTED" in path.read_bytes() for path in folder.glob("*.key"))


def test_keys_are_encrypted_in_place_and_the_journals_key_is_left_alone(tmp_path):
    folder = tmp_path / "authority"
    issuer, _ = KeyFolder(folder).open(TRUST_DOMAIN, now=NOW)
    journal = PrivateKey.generate(KeyType.ED25519).pem().reveal()
    (folder / "journal.key").write_bytes(journal)
    pins = KeyFolder(folder).roots.pins()
    assert FileKeys(folder).encrypt(PASSWORD) == ["issuing", "root", "root.2"]
    assert (folder / "journal.key").read_bytes() == journal
    found = KeyFolder(folder, FileKeys(folder, PASSWORD))
    assert found.open(TRUST_DOMAIN, now=NOW)[0].certificate == issuer.certificate
    assert found.roots.pins() == pins


def test_encryption_that_was_cut_off_is_finished_by_doing_it_again(tmp_path):
    folder = tmp_path / "authority"
    KeyFolder(folder).open(TRUST_DOMAIN, now=NOW)
    FileKeys(folder, PASSWORD).put("issuing", FileKeys(folder).load("issuing"))  # as far as it came
    FileKeys(folder).encrypt(PASSWORD)
    assert all(FileKeys(folder, PASSWORD).load(name) for name in ("root", "root.2", "issuing"))
    assert all(FileKeys(folder).is_encrypted(name) for name in ("root", "root.2", "issuing"))


def test_a_wrong_password_changes_no_file(tmp_path):
    folder = tmp_path / "authority"
    keys = FileKeys(folder, PASSWORD)
    KeyFolder(folder, keys).open(TRUST_DOMAIN, now=NOW)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StateError):
        FileKeys(folder, OTHER).encrypt(Secret(b"yet another password"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 2000])
def test_a_password_of_no_use_is_refused_and_a_good_one_taken(tmp_path, content):
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="12 to 1024"):
        read_password(path)
    path.write_bytes(b"long enough for it\n")
    assert read_password(path) == Secret(b"long enough for it")


def test_a_password_that_everybody_reads_is_refused(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"long enough for it\n")
    path.chmod(0o644)
    with pytest.raises(StateError, match="read by everybody"):
        read_password(path)
    path.chmod(0o600)
    assert read_password(path)


def test_where_the_password_is_looked_for(tmp_path, monkeypatch):
    """The option comes first, then the environment, the mesh file, and what systemd hands over."""
    for name in ("option", "environment", "setting", CREDENTIAL):
        (tmp_path / name).write_bytes(f"the password of {name}".encode())
        (tmp_path / name).chmod(0o600)
    made = FileKeys(tmp_path / "keys", Secret(b"the password of environment"))
    made.make("root", KeyType.P256)
    settings = Keys(password_file=str(tmp_path / "setting"))

    def opens(keys: Keys, option: str | None = None) -> bool:
        store = open_keys(tmp_path / "keys", keys, tmp_path / option if option else None)
        try:
            return bool(store.load("root"))
        except StateError:
            return False

    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    assert not opens(settings)
    monkeypatch.setenv(PASSWORD_VARIABLE, str(tmp_path / "environment"))
    assert opens(settings)
    assert not opens(settings, "option")
    monkeypatch.delenv(PASSWORD_VARIABLE)
    made.encrypt(Secret(f"the password of {CREDENTIAL}".encode()))
    assert not opens(Keys())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert opens(Keys())
    assert not opens(settings)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.RSA2048, KeyType.ED25519, KeyType.MLDSA65], ids=str)
def test_every_kind_of_key_can_be_encrypted(tmp_path, kind):
    key = FileKeys(tmp_path / "keys", PASSWORD).make("root", kind)
    assert FileKeys(tmp_path / "keys", PASSWORD).load("root").pin() == key.pin()


def test_custody_is_told_by_the_files_and_not_by_the_password(tmp_path):
    keys = FileKeys(tmp_path / "keys")
    for name in ("issuing", "root"):
        keys.make(name, KeyType.P256)
    assert "not encrypted" in FileKeys(tmp_path / "keys", PASSWORD).custody
    FileKeys(tmp_path / "keys", PASSWORD).put("root", keys.load("root"))
    assert "1 of 2 encrypted" in FileKeys(tmp_path / "keys").custody
    keys.encrypt(PASSWORD)
    assert FileKeys(tmp_path / "keys").custody.endswith(", encrypted with a password")
