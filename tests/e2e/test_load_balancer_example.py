"""The example `load-balancer`: every block of its README runs, in order, as a person would type it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.mesh_process import end_everything_in, environment, free_port, short_folder

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "load-balancer"


def test_the_readme_runs() -> None:
    for tool in ("curl", "openssl"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    with short_folder() as folder:
        place = folder / "e"
        shutil.copytree(EXAMPLE, place)
        ports = {port: str(free_port()) for port in ("9080", "9443")}
        for name in ("handsel.yaml", "README.md"):
            text = re.sub("|".join(ports), lambda found: ports[found[0]], (place / name).read_text())
            (place / name).write_text(text)
        commands = "\n".join(re.findall(r"```sh\n(.*?)```", (place / "README.md").read_text(), re.DOTALL))
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        output = folder / "output"
        with output.open("wb") as out:  # no pipe: what the page leaves running would hold it open
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", commands], cwd=place, env=environment() | {"PATH": binaries},
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        try:
            assert process.wait(timeout=90) == 0, output.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            end_everything_in(place)
