"""Backups: whole or refused, keys only under a password, and nothing that a changed archive says is believed."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings

from handsel.errors import StateError, UsageError
from handsel.pki.secret import Secret
from handsel.store.adapters import backup
from handsel.store.adapters.files import read_password
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.journal import entry
from tests.store.contract import APPLIERS, Word, all_words
from tests.support import NOW, mutations

PASSWORD = Secret(b"correct horse")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database in use, keys, and the backup of both."""
    folder = tmp_path_factory.mktemp("backup")
    keys = folder / "authority"
    (keys / "custody").mkdir(parents=True)
    (keys / "root.key").write_bytes(b"the key of the root")
    (keys / "custody" / "other.key").write_bytes(b"another")
    store = SqliteStore(folder / "handsel.db", APPLIERS)
    store.submit((Word("a"), entry("word", NOW))).result(10)
    backup.save(folder / "handsel.db", keys, folder / "made", password=PASSWORD, now=datetime.now(UTC))
    store.submit((Word("later"),)).result(10)
    yield folder
    store.close()


async def test_what_was_saved_while_the_store_was_open_comes_back(made, tmp_path):
    manifest, database, keys = backup.load(made / "made", tmp_path, password=PASSWORD)
    assert manifest.has_database
    assert manifest.has_keys
    assert keys == {"root.key": b"the key of the root", "custody/other.key": b"another"}
    store = SqliteStore(database, APPLIERS)
    assert await all_words(store) == {"a"}
    assert len(await store.journal_lines()) == 1
    store.close()
    backup.put_keys(keys, tmp_path / "keys")
    assert (tmp_path / "keys" / "custody" / "other.key").read_bytes() == b"another"
    assert (tmp_path / "keys" / "root.key").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_private_and_no_key_stands_in_it(made):
    assert (made / "made").stat().st_mode & 0o777 == 0o600
    content = (made / "made").read_bytes()
    assert b"SQLite format 3" in content
    assert b"the key of the root" not in content
    assert b"root.key" not in content


def test_another_password_opens_nothing(made, tmp_path):
    with pytest.raises(StateError, match="do not open with this password"):
        backup.load(made / "made", tmp_path, password=Secret(b"correct horsf"))


def test_without_a_password_the_keys_stay_where_they_are(made, tmp_path):
    assert backup.load(made / "made", tmp_path, password=None)[2] == {}


def test_a_file_that_is_there_is_not_written_over(made):
    with pytest.raises(UsageError, match="there already"):
        backup.save(made / "handsel.db", made, made / "made", password=None, now=NOW)


@settings(max_examples=60)
@given(where=mutations(bytes(range(64))))
def test_an_archive_with_changed_bytes_is_refused_in_one_line_or_gives_the_same(made, tmp_path_factory, where):
    original = (made / "made").read_bytes()
    start = sum(where) * 977 % len(original)
    changed = (
        original[:start]
        + bytes(b ^ 0x55 for b in original[start : start + len(where) + 1])
        + original[start + len(where) + 1 :]
    )
    folder = tmp_path_factory.mktemp("changed")
    (folder / "changed").write_bytes(changed)
    try:
        _, database, keys = backup.load(folder / "changed", folder, password=PASSWORD)
    except StateError as error:
        said = str(error)
    else:  # what was changed is padding
        assert keys["root.key"] == b"the key of the root"
        assert database is not None
        return
    assert "\n" not in said


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_a_name_that_leads_out_of_the_folder_is_refused(made, tmp_path, monkeypatch, name):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        backup._add_bytes(archive, name, b"x")
    monkeypatch.setattr(backup, "_pack", lambda _folder: packed.getvalue())
    backup.save(Path("/nowhere"), made, tmp_path / "evil", password=PASSWORD, now=NOW)
    with pytest.raises(StateError, match="malformed"):
        backup.load(tmp_path / "evil", tmp_path, password=PASSWORD)


def test_a_password_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"correct horse\nsecond line")
    path.chmod(0o644)
    with pytest.raises(UsageError, match="read by others"):
        read_password(path)
    path.chmod(0o600)
    assert read_password(path) == PASSWORD
    path.write_bytes(b"\n")
    with pytest.raises(UsageError, match="no password"):
        read_password(path)
