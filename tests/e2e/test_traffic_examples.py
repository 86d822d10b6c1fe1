"""The examples `api-versioning` and `circuit-breaking`: what their pages tell to type is typed, and says what they say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.mesh_process import end_everything_in, environment, run, short_folder

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextlib.contextmanager
def typed(example: str) -> Iterator[str]:
    """What the commands of its page print, run in a folder of their own."""
    with short_folder() as folder:
        place = folder / "e"
        shutil.copytree(EXAMPLES / example, place)
        commands = "\n".join(re.findall(r"```sh\n(.*?)```", (place / "README.md").read_text(), re.DOTALL))
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {**environment(), "PATH": binaries, "HANDSEL_STATE": str(folder / "s")}
        output = folder / "output"
        with output.open("wb") as out:  # no pipe: what a page starts would hold it open
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", commands], cwd=place, stdout=out, stderr=out, env=variables,
                start_new_session=True,
            )  # fmt: skip
        try:
            assert process.wait(timeout=90) == 0, output.read_text()
            yield output.read_text()
        finally:
            process.kill()
            end_everything_in(folder)


def _shown(example: str) -> list[str]:
    """The lines that its page shows."""
    blocks = re.findall(r"```text\n(.*?)```", (EXAMPLES / example / "README.md").read_text(), re.DOTALL)
    return [str(line) for block in blocks for line in block.splitlines()]


def test_versions_by_header_path_query_and_weight() -> None:
    certain = [line for line in _shown("api-versioning") if "200 times" not in line]  # which is by chance
    with typed("api-versioning") as said:
        assert [line for line in certain if line not in said] == []
        before, after = (_counts(line.partition("->")[2]) for line in re.findall(r"/items, 200 times .*", said))
        assert 0 < before["v2"] < 60 < before["v1"]
        assert 0 < after["v1"] < 60 < after["v2"]


def test_what_fails_is_left_out_and_what_is_slow_gets_no_more() -> None:
    shown = {what: _counts(counts) for what, counts in _lines("\n".join(_shown("circuit-breaking"))).items()}
    with typed("circuit-breaking") as said:
        found = {what: _counts(counts) for what, counts in _lines(said).items()}
    assert found.keys() == shown.keys()
    # What a page shows is what is usual: each of the proxy's threads takes turns, and has a connection, of its own.
    assert found["while b fails"]["500"] == 3
    assert found["b is left out"] == shown["b is left out"] == {"a": 12}
    assert min(found["b is asked again"][name] for name in ("a", "b")) >= 3
    assert found["8 reports at once"]["503"] >= 4
    assert found["8 reports at once"]["reports"] >= 2
    assert "-> reports" in said


def _lines(text: str) -> dict[str, str]:
    return {what.strip(): counts for what, counts in re.findall(r"^(.+?) +-> (.*: \d.*)$", text, re.MULTILINE)}


def _counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"(\w+): (\d+)", text)}


@pytest.mark.parametrize(
    ("example", "edges"),
    [
        ("api-versioning", {("client", "catalog-v1"), ("client", "catalog-v2")}),
        ("circuit-breaking", {("client", "orders-a"), ("client", "orders-b"), ("client", "reports")}),
    ],
)
def test_every_edge_behind_the_rules_is_proven(example: str, edges: set[tuple[str, str]]) -> None:
    with short_folder() as folder:
        shutil.copytree(EXAMPLES / example, folder / "e")
        result = run("up", "-f", str(folder / "e" / "handsel.yaml"), "--once", "-o", "json", timeout=120)
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)["edges"]
        assert {(each["from"], each["to"]) for each in found if each["ok"]} == edges


def test_an_edge_whose_connections_are_kept_is_proven_too() -> None:
    """A caller that looks into requests sends many on one connection: the callee noted it long ago."""
    programs = f"{sys.executable} {Path(__file__).parent / 'programs'}"
    text = f"""
services:
  web: {{command: {programs}/asks_on.py REVIEWS_URL, calls: [reviews]}}
  reviews: {{command: {programs}/tells_all.py it}}
routes: {{reviews: [{{to: reviews}}]}}
"""
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(text)
        result = run("up", "-f", str(folder / "handsel.yaml"), "--once", "-o", "json")
        assert result.returncode == 0, result.stdout
