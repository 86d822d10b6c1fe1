"""`handsel explain` without a mesh: texts, codes, names, exit codes, and what a terminal gets to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from handsel.cli import explain as verb
from handsel.cli.explain import command
from handsel.errors import HandselError, InvalidFile, Unreachable, UsageError
from tests.diagnose.test_verdict import CALL, NOW, UP

CURL = "curl: (35) OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version number"
MESH = "services:\n  web: {calls: [emoji, bank]}\n  emoji: {}\nexternal:\n  bank: {host: bank.example}\n"


def run(*arguments: str, text: bytes | None = None, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(command, arguments, input=text)


def failure(*arguments: str, text: bytes | None = None) -> HandselError:
    error = run(*arguments, text=text).exception
    assert isinstance(error, HandselError), error
    return error


@pytest.fixture
def mesh(tmp_path: Path) -> str:
    (tmp_path / "handsel.yaml").write_text(MESH)
    return str(tmp_path / "handsel.yaml")


def test_a_text_is_explained_whether_it_is_an_argument_words_or_piped() -> None:
    for result in (run(CURL), run(*CURL.split()), run("-", text=CURL.encode())):
        assert result.exit_code == 0
        assert result.output.startswith("• HS-E003   TLS to a plaintext port\n")
        for label in ("cause", "this text", "fault", "versions", "or it is", "check", "fix"):
            assert f"\n  {label}" in result.output


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_but_commands_and_words_that_cannot_be_cut_is_wider_than_the_terminal(columns: int) -> None:
    for line in run("HS-E005", columns=columns).output.splitlines():
        assert len(line) <= columns or line.startswith("  check") or " " not in line.strip()[13:], line


def test_json_and_yaml_say_the_same() -> None:
    as_json = json.loads(run(CURL, "-o", "json").output)
    assert as_json == yaml.safe_load(run(CURL, "-o", "yaml").output)
    assert (as_json["apiVersion"], as_json["kind"], as_json["code"]) == ("handsel/v1", "TextExplanation", "HS-E003")


def test_an_unknown_text_says_so_and_lists_what_was_understood() -> None:
    result = run("javax.net.ssl.SSLException: something new")
    assert result.exit_code == 1
    assert result.output.startswith("? unknown text")
    assert "it looks like Java" in result.output


def test_codes_of_the_catalogue_and_of_errors_are_explained() -> None:
    catalogue, tree = run("hs-e002"), run("HS-S003")
    assert (catalogue.exit_code, tree.exit_code) == (0, 0)
    assert "unknown CA" in catalogue.output
    assert "PKIX path building failed" in catalogue.output
    assert "another process" in tree.output


def test_a_code_that_is_none_names_the_nearest() -> None:
    error = failure("HS-E099")
    assert isinstance(error, UsageError)
    assert "did you mean" in error.next_step


def test_unknown_names_get_the_nearest_before_anything_is_asked(mesh: str) -> None:
    for names, hint in ((("wep", "emoji"), '"web"'), (("web", "emojy"), '"emoji"'), (("web", "bnak"), '"bank"')):
        error = failure(*names, "-f", mesh)
        assert isinstance(error, UsageError)
        assert error.exit_code == 2
        assert hint in error.next_step


@pytest.mark.parametrize("names", [("bank", "web"), ("web", "web")])
def test_what_does_not_call_cannot_be_asked_for(mesh: str, names: tuple[str, str]) -> None:
    assert isinstance(failure(*names, "-f", mesh), UsageError)


def test_one_name_alone_lists_its_calls(mesh: str) -> None:
    error = failure("emoji", "-f", mesh)
    assert error.next_step == "handsel explain web emoji"


def test_two_words_of_a_text_are_told_to_be_quoted(mesh: str) -> None:
    assert "quotes" in failure("connection", "refused", "-f", mesh).next_step
    error = failure("connection", "refused", "-f", "nothing-here.yaml")
    assert isinstance(error, InvalidFile)
    assert "quotes" in error.next_step


def test_where_nothing_runs_the_exit_code_is_4(mesh: str, tmp_path: Path) -> None:
    error = failure("web", "emoji", "-f", mesh, "--state", str(tmp_path / "s"))
    assert isinstance(error, Unreachable)
    assert error.exit_code == 4


def test_nothing_and_too_much_are_refused() -> None:
    assert isinstance(failure(), UsageError)
    assert "64 KiB" in str(failure("-", text=b"x" * 70_000))


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\x00", b"\x1b[31mred\x1b[0m", "\u202e".encode()])
def test_bytes_that_are_no_text_break_nothing(text: bytes) -> None:
    result = run("-", text=text)
    assert result.exit_code == 1
    assert not isinstance(result.exception, Exception)


def _printed(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> Result:
    from handsel.diagnose import explain
    from handsel.diagnose.verdict import judge

    explained = {**explain.edge(CALL, UP, judge(CALL, UP, NOW)), **changes}
    monkeypatch.setattr(verb, "_edge", lambda *_arguments, **_options: explained)
    return run("web", "emoji")


def test_an_edge_begins_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _printed(monkeypatch, {})
    assert result.exit_code == 0
    assert result.output.startswith("✓ web → emoji   mutual TLS 1.3, X25519MLKEM768\n")
    assert "allowed by  handsel.yaml:5" in result.output


def test_an_edge_that_is_not_mutual_tls_fails_even_if_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _printed(monkeypatch, {"ok": False, "state": "one-way TLS"})
    assert (result.exit_code, result.output.splitlines()[0]) == (1, "! web → emoji   one-way TLS 1.3, X25519MLKEM768")


def test_what_strangers_wrote_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _printed(monkeypatch, {"what": "a name\x1b[2J\u202e", "state": "failed", "code": "HS-E004", "ok": False})
    assert "\x1b[2J" not in result.output
    assert "\u202e" not in result.output
