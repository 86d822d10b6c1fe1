"""Secrets in files of the host: read when they make sense, read again when they change, never lost to a bad version."""

from __future__ import annotations

import os

import pytest

from handsel.agent.adapters.secret_files import SecretFiles
from handsel.pki.certificate import to_pem
from handsel.pki.keys import PrivateKey
from tests.agent.things import identity
from tests.support import write_pair


@pytest.fixture
def pair(living_authority, tmp_path):
    write_pair(tmp_path, "client", living_authority.pair(identity("web")))
    (tmp_path / "roots.crt").write_bytes(to_pem((living_authority.issuer.root,)))
    return tmp_path


def _names(folder) -> set[str]:
    return {f"file-cert:{folder}/client.crt~{folder}/client.key", f"file-root:{folder}/roots.crt"}


def test_files_that_make_sense_are_secrets_under_their_names(pair):
    files = SecretFiles()
    assert files.refresh(_names(pair))
    assert set(files.resources) == _names(pair)
    assert files.problems == {}
    assert not files.refresh(_names(pair))


def test_a_file_that_changed_is_read_again(pair, living_authority):
    files = SecretFiles()
    files.refresh(_names(pair))
    before = dict(files.resources)
    write_pair(pair, "client", living_authority.pair(identity("web")))
    assert files.refresh(_names(pair))
    changed = {name for name in before if files.resources[name] != before[name]}
    assert changed == {name for name in _names(pair) if name.startswith("file-cert")}


def test_a_file_that_was_touched_and_says_the_same_is_no_change(pair):
    files = SecretFiles()
    files.refresh(_names(pair))
    os.utime(pair / "client.crt", (1, 1))
    assert not files.refresh(_names(pair))


def test_a_bad_version_leaves_the_last_good_one_and_says_what_is_wrong(pair):
    files = SecretFiles()
    files.refresh(_names(pair))
    good = dict(files.resources)
    (pair / "client.key").write_bytes(PrivateKey.generate().pem().reveal())
    assert not files.refresh(_names(pair))
    assert files.resources == good
    (problem,) = files.problems.values()
    assert "does not belong" in problem
    assert "client.key" in problem


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "client.key").unlink(), "client.key is not there"),
        (lambda folder: (folder / "client.crt").write_bytes(b"nonsense"), "client.crt"),
        (lambda folder: (folder / "client.crt").write_bytes(b"a" * (2 << 20)), "larger than"),
        (lambda folder: ((folder / "client.key").unlink(), (folder / "client.key").mkdir()), "directory"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_until_it_is_repaired(pair, living_authority, damage, reason):
    damage(pair)
    files = SecretFiles()
    files.refresh(_names(pair))
    assert {name.partition(":")[0] for name in files.resources} == {"file-root"}
    (problem,) = files.problems.values()
    assert reason in problem
    if (pair / "client.key").is_dir():
        (pair / "client.key").rmdir()
    write_pair(pair, "client", living_authority.pair(identity("web")))
    assert files.refresh(_names(pair))
    assert set(files.resources) == _names(pair)
    assert files.problems == {}


def test_what_is_no_longer_wanted_is_forgotten(pair):
    files = SecretFiles()
    files.refresh(_names(pair) | {"file-root:/not/there"})
    files.refresh(set())
    assert (files.resources, files.problems) == ({}, {})
    assert files.refresh(_names(pair))
