"""`handsel agent run` and `agent wait`: what is wrong with their options is said before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from handsel.cli.agent import command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--strict", "--pod", "REDIRECT"), "leave one of --strict and --pod out"),
        (("run", "--component-log-level", "http"), "--component-log-level: must be component:level"),
        (("run", "--drain", "soon"), "--drain: a duration"),
        (("wait", "--timeout", "soon"), "--timeout: a duration"),
    ],
    ids=["strict", "levels", "drain", "timeout"],
)
def test_what_is_wrong_with_an_option_is_said(arguments: tuple[str, ...], message: str, tmp_path: Path):
    result = CliRunner().invoke(command, [*arguments, "--state", str(tmp_path / "s")])
    assert result.exit_code
    assert message in str(result.exception)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("option", [("--pod", "SOME"), ("--concurrency", "-1"), ("--log-level", "loud")])
def test_what_is_no_choice_is_refused(option: tuple[str, str], tmp_path: Path):
    result = CliRunner().invoke(command, ["run", "--state", str(tmp_path / "s"), *option])
    assert result.exit_code == 2
    assert option[0] in result.output
