"""The root of the command line: quick help, near misses, one line and one exit code for each error."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from handsel.errors import ExitCode, FileFault, HandselError, InvalidFile, StateError, Unreachable, UsageError

cli = importlib.import_module("handsel.cli.main")  # the package has a function of that name

HEAVY = [
    "sqlalchemy", "alembic", "starlette", "uvicorn", "grpc", "envoy", "pydantic", "cryptography", "httpx2", "structlog",
    "jinja2", "prometheus_client", "asyncio", "yaml",
]  # fmt: skip

_RUN = """
import sys
from handsel.cli import main
sys.argv = ["handsel", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["nobody"]])
def test_help_and_the_like_import_nothing_heavy(arguments):
    imported = set(_run(*arguments).stdout.partition("imported:")[2].split())
    assert "click" in imported
    assert imported.isdisjoint(HEAVY)


def test_what_a_verb_needs_is_imported_only_when_it_is_called():
    """Otherwise the test above could not fail."""
    imported = set(_run("config", "schema").stdout.rpartition("imported:")[2].split())
    assert "pydantic" in imported


def test_help_names_every_verb_with_what_it_does():
    result = _run("--help")
    assert result.returncode == ExitCode.OK
    verbs = {line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line.startswith("  ")}
    assert set(cli._VERBS) <= verbs


@pytest.mark.parametrize("verb", cli._VERBS)
def test_every_verb_has_a_command_behind_it(verb):
    assert _run(verb, "--help").returncode == ExitCode.OK


@pytest.mark.parametrize(
    ("typed", "meant"), [("uup", "up"), ("stats", "status"), ("sever", "server"), ("agnet", "agent")]
)
def test_a_verb_that_nobody_knows_is_answered_with_the_nearest(typed, meant):
    result = _run(typed)
    assert result.returncode == ExitCode.USAGE
    assert f"'{typed}'" in result.stderr
    assert f"Did you mean '{meant}'?" in result.stderr


def test_without_a_near_one_nothing_is_suggested():
    result = _run("qqqqqq")
    assert result.returncode == ExitCode.USAGE
    assert "Did you mean" not in result.stderr


def _fails_with(error: HandselError, monkeypatch, capsys) -> tuple[int, str]:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "root", fail)
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StateError("the folder is gone", next_step="make it"), ExitCode.FAILED),
        (UsageError("no such service", next_step="make it"), ExitCode.USAGE),
        (Unreachable("nobody answers", next_step="make it"), ExitCode.UNREACHABLE),
    ],
)
def test_an_error_of_ours_is_a_line_with_its_code_the_next_step_and_an_exit_code(error, code, monkeypatch, capsys):
    assert _fails_with(error, monkeypatch, capsys) == (code, f"handsel: {error.code} {error}\n  make it\n")


def test_faults_of_a_file_are_lines_that_an_editor_understands(monkeypatch, capsys):
    faults = [FileFault("handsel.yaml", line, 3, "services.web", "is wrong") for line in (4, 7)]
    code, text = _fails_with(InvalidFile(faults), monkeypatch, capsys)
    assert code == ExitCode.USAGE
    assert text.splitlines() == [f"handsel.yaml:{line}:3: services.web: is wrong" for line in (4, 7)]
