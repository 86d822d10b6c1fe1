"""Every block of a tutorial runs, in order, as a person would type it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.mesh_process import environment, free_port, short_folder

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
_FIXED_PORTS = ("8443", "8880", "5002")


def _script(page: str) -> tuple[dict[str, str], str]:
    """The files that a page shows (a block of YAML or Python names its file first), and its commands."""
    files: dict[str, str] = {}
    commands: list[str] = []
    for kind, text in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL):
        if kind in ("yaml", "python"):
            files[text.splitlines()[0].removeprefix("# ")] = text
        elif kind == "sh":
            commands.append(text)
    return files, "\n".join(commands)


@pytest.mark.e2e
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path: Path) -> None:
    page = path.read_text()
    for port in _FIXED_PORTS:
        page = page.replace(port, str(free_port()))
    files, commands = _script(page)
    with short_folder() as folder:
        for name, text in files.items():
            (folder / name).write_text(text)
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        output = folder / "output"
        with output.open("wb") as out:  # no pipe: the server that a page starts would hold it open
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=environment() | {"PATH": binaries},
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        try:
            assert process.wait(timeout=90) == 0, output.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
