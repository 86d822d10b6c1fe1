"""The page about seeing: its commands run as a person would type them, and it names what our doors export."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.mesh_process import end_everything_in, environment, short_folder

PAGE = (Path(__file__).parents[2] / "docs" / "seeing.md").read_text()


@pytest.mark.e2e
def test_its_commands_run() -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
    commands = "\n".join(text for kind, text in blocks if kind == "sh")
    with short_folder() as folder:
        for kind, text in blocks:
            if kind in ("yaml", "python") and text.startswith("# "):  # the others are parts
                (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        output = folder / "output"
        with output.open("wb") as out:  # no pipe: what a page starts would hold it open
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, stdout=out, stderr=out, start_new_session=True,
                env=environment() | {"PATH": binaries, "HANDSEL_STATE": str(folder / "s")},
            )  # fmt: skip
        try:
            assert process.wait(timeout=90) == 0, output.read_text()
            said = output.read_text()
            assert re.search(r"web → emoji  GET /hello  200 \d+ ms  TLS 1.3 X25519", said), said
            assert re.search(r"web → emoji  GET /fail  500 ", said), said
            assert re.search(r"^web +emoji +http +mutual TLS 1.3, X25519\w* +100% +2 +1 +0 +-$", said, re.MULTILINE), (
                said
            )
            assert re.search(r"^web +voting .* never used$", said, re.MULTILINE), said
            assert re.search(r"^voting .* in sync$", said, re.MULTILINE), said
            assert 'handsel_proxy_requests_total{callee="emoji",response_class="5xx",service="web"} 1.0' in said
            assert (folder / "mesh.svg").read_text().startswith("<svg")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            end_everything_in(folder)
