"""`handsel mesh check`: what it says of files and folders, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handsel.cli.main import root
from handsel.errors import InvalidFile

ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank}
spec:
  hosts: [bank.example.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]
  resolution: DNS
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank}
spec:
  host: bank.example.com
  trafficPolicy: {tls: {mode: SIMPLE}}
"""


def _check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(root, ["mesh", "check", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, InvalidFile)
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "entry.yaml").write_text(ENTRY)
    (tmp_path / "rule.yml").write_text(RULE)
    return tmp_path


def test_a_folder_of_resources_in_which_nothing_is_wrong(folder: Path):
    code, output = _check("-f", str(folder), "--fail-on", "medium")
    assert (code, output) == (0, "nothing found\n")


def test_a_risk_is_named_with_its_place_and_codes_and_fails_from_its_severity_on(folder: Path):
    (folder / "rule.yml").unlink()
    code, output = _check("-f", str(folder), "-o", "json", "--fail-on", "never")
    assert code == 0
    findings = json.loads(output)["findings"]
    plain = next(each for each in findings if "unencrypted" in each["message"])
    assert (plain["file"], plain["line"]) == (str(folder / "entry.yaml"), 3)
    assert plain["code"].startswith("HM-")
    assert plain["fix"]
    assert _check("-f", str(folder), "--fail-on", plain["severity"])[0] == 3


def test_what_is_invalid_is_told_with_every_fault_and_exit_code_2(folder: Path):
    (folder / "entry.yaml").write_text(ENTRY.replace("DNS", "DSN"))
    (folder / "rule.yml").write_text(RULE.replace("SIMPLE", "SIMPEL"))
    code, output = _check("-f", str(folder))
    assert code == 2
    assert "entry.yaml:7:3: invalid: spec.resolution" in output
    assert "rule.yml:6:25: invalid: spec.trafficPolicy.tls.mode" in output


def test_a_mesh_file_is_checked_too(tmp_path: Path):
    file = tmp_path / "handsel.yaml"
    file.write_text("services: {web: {calls: [emojy]}, emoji: {}}\n")
    code, output = _check("-f", str(file))
    assert code == 2
    assert 'did you mean "emoji"?' in output
    file.write_text("services: {web: {calls: [emoji]}, emoji: {}}\n")
    assert _check("-f", str(tmp_path))[0] == 0


def test_an_empty_folder_is_a_mistake(tmp_path: Path):
    code, output = _check("-f", str(tmp_path))
    assert code == 2
    assert "no .yaml, .yml or .json file" in output
