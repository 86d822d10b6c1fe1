"""The CA's own commands: init, show, keys, an offline root, and a server that runs on what they made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.authority.signers.token import soft_token
from tests.ca_keys import IN_TOKEN, with_keys
from tests.e2e.authority_process import Authority
from tests.e2e.mesh_process import run, short_folder

pytestmark = pytest.mark.e2e

CONFIG = """
trust_domain: ca.internal
authority:
  issuing: {partners: {key: p384, permitted: {dns: [partner.example]}}}
  profiles: {partners: {issuer: partners}}
"""


@pytest.fixture
def folder():
    with short_folder() as found:
        (found / "handsel.yaml").write_text(with_keys(found, CONFIG))
        yield found


def _password(folder: Path, name: str) -> str:
    (folder / name).write_text(f"the password of {name}\n")
    (folder / name).chmod(0o600)
    return str(folder / name)


def _ca(folder: Path, *arguments: str) -> str:
    done = run("ca", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _refused(folder: Path, *arguments: str) -> str:
    done = run("ca", *arguments, cwd=folder)
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def _show(folder: Path, *arguments: str) -> dict[str, Any]:
    return json.loads(_ca(folder, "show", "--state", "s", "-o", "json", *arguments))


def _runs(folder: Path, *arguments: str) -> None:
    """A server starts on this state and shows a certificate."""
    running = Authority(folder, "", *arguments)
    try:
        assert running.run("ca", "bundle").stdout.startswith("-----BEGIN CERTIFICATE-----")
        assert running.json("ca", "rotate", "status")["rotations"][1]["name"] == "issuing"
    finally:
        running.server.stop()


def test_init_makes_what_a_server_then_runs_on(folder: Path) -> None:
    _ca(folder, "init", "--state", "s", "--key", "p384", "--dry-run")
    assert not (folder / "s").exists()
    _ca(folder, "init", "--state", "s", "--key", "p384")
    found = _show(folder)
    assert [(each["name"], each["key"]) for each in found["authorities"]] == [
        ("root", "p384"),
        ("issuing", "p256"),
        ("partners", "p384"),
    ]
    assert found["authorities"][2]["permitted"] == ["dns:partner.example"]
    assert ("PKCS #11 token" if IN_TOKEN else "not encrypted") in found["custody"]
    assert found["warnings"] == []
    _runs(folder)
    assert _show(folder)["authorities"] == found["authorities"]
    assert "already" in _refused(folder, "init", "--state", "s")


@pytest.mark.key_files("they are encrypted")
def test_keys_are_encrypted_in_place_and_the_server_asks_for_the_password(folder: Path) -> None:
    _ca(folder, "init", "--state", "s")
    first = _password(folder, "first")
    _ca(folder, "keys", "encrypt", "--state", "s", "--new-password-file", first)
    keys = list((folder / "s/server/authority").glob("*.key"))
    assert len(keys) == 4
    assert all(key.read_bytes().startswith(b"-----BEGIN ENCRYPTED") for key in keys)
    refused = run("server", "--state", "s", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0",
                  cwd=folder)  # fmt: skip
    assert refused.returncode == 1
    assert "is encrypted" in refused.stderr
    _runs(folder, "--key-password-file", first)


def test_a_root_that_lives_elsewhere_signs_issuing_cas_by_request(folder: Path) -> None:
    (folder / "handsel.yaml").write_text(with_keys(folder, "trust_domain: ca.internal\n"))
    password = _password(folder, "root-password")
    away = ("--offline-root", "away", "--offline-password-file", password)
    _ca(folder, "init", "--state", "s", *away)
    kept = {path.name for path in (folder / "s/server/authority").iterdir()}
    assert not kept & {"root.key", "root.2.key"}
    assert {path.name for path in (folder / "away").iterdir()} >= {"root.key", "root.2.key", "root.crt"}
    assert not _show(folder)["rootIsHere"]
    _runs(folder)  # the mesh's own issuing CA was made before the root left

    (folder / "handsel.yaml").write_text(with_keys(folder, CONFIG))
    assert _show(folder)["warnings"] == ["partners is in the mesh file and not made yet"]
    _ca(folder, "request", "partners", "--state", "s", "--out", "partners.csr")
    sign = ("sign", "--root", "away", "--csr", "partners.csr", "--out", "partners.crt", "--name", "partners")
    wrong = _password(folder, "wrong")
    assert "cannot be read" in _refused(folder, *sign, "--password-file", wrong)
    _ca(folder, *sign, "--password-file", password, "--permit", "dns:partner.example", "--lifetime", "90d")
    assert "not for the key" in _refused(folder, "install", "partners.crt", "--state", "s", "--name", "issuing")
    _ca(folder, "install", "partners.crt", "--state", "s", "--name", "partners")
    found = _show(folder)
    assert found["warnings"] == []
    assert found["authorities"][2]["permitted"] == ["dns:partner.example"]
    _runs(folder)


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_a_file_that_is_no_request_is_told_in_one_line(folder: Path, content: str) -> None:
    password = _password(folder, "root-password")
    _ca(folder, "init", "--state", "s", "--offline-root", "away", "--offline-password-file", password)
    (folder / "bad.csr").write_text(content)
    sign = ("sign", "--root", "away", "--password-file", password, "--out", "out.crt", "--csr")
    assert "no certificate request" in _refused(folder, *sign, "bad.csr")
    _ca(folder, "request", "issuing", "--state", "s", "--out", "good.csr")
    _ca(folder, *sign, "good.csr")


def test_a_profile_of_a_ca_that_is_not_there_is_told_with_its_place(folder: Path) -> None:
    (folder / "handsel.yaml").write_text(with_keys(folder, CONFIG.replace("issuer: partners", "issuer: partner")))
    said = _refused(folder, "show", "--state", "s")
    assert "handsel.yaml:5" in said
    assert "there is no issuing CA 'partner'; known: issuing, partners" in said


def test_a_server_runs_on_the_keys_of_a_token_and_finds_them_again(folder: Path) -> None:
    with soft_token(folder / "token") as uri:
        (folder / "handsel.yaml").write_text(CONFIG.replace("authority:", f'authority:\n  keys: "{uri}"'))
        _runs(folder)
        made = _show(folder)
        assert "token 'handsel'" in made["custody"]
        names = {path.name for path in (folder / "s/server/authority").glob("*.key")}
        assert names == {"journal.key"}
        _runs(folder)
        assert _show(folder)["authorities"] == made["authorities"]
