"""An authority run by the real command: `handsel server` alone, on free ports."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.ca_keys import IN_TOKEN, with_keys
from tests.e2e.mesh_process import Handsel, run, short_folder, wait_for

_STARTED = "server https://"


class Authority:
    """A running server. `folder` is short and everything lies in it; `state` is its state folder."""

    def __init__(self, folder: Path, config: str, *arguments: str) -> None:
        self.folder = folder
        self.state = folder / "s"
        self._arguments = arguments
        file = folder / "handsel.yaml"
        if (config or not file.exists()) and (text := with_keys(folder, config)):
            file.write_text(text)
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same state."""
        config = ["--config", "handsel.yaml"] if (self.folder / "handsel.yaml").exists() else []
        log = self.folder / "server.log"
        before = log.read_text().count(_STARTED) if log.exists() else 0  # of the starts before this one
        self.server = Handsel(
            self.folder, "server", "server", "--state", str(self.state), "--listen", "127.0.0.1:0",
            "--metrics-port", "0", "--status-port", "0", *config, *self._arguments,
        )  # fmt: skip
        self.server.wait_for(_STARTED)
        wait_for(lambda: self.server.output().count(_STARTED) > before or self.server.process.poll() is not None)
        assert self.server.output().count(_STARTED) > before, self.server.output()
        line = next(each for each in reversed(self.server.output().splitlines()) if each.startswith(_STARTED))
        self.url = line.split()[1].rstrip(",")
        assert not IN_TOKEN or {each.stem for each in self.state.glob("server/authority/*.key")} <= {"journal"}
        self.roots = self.folder / "roots.pem"
        self.roots.write_text(self.run("ca", "bundle").stdout)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of handsel about this authority."""
        return run(*arguments, "--state", str(self.state), cwd=self.folder)

    def json(self, *arguments: str) -> Any:
        """What a command says as JSON."""
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextlib.contextmanager
def authority(config: str = "", *arguments: str) -> Iterator[Authority]:
    """An authority with this mesh file, until the end of the test."""
    with short_folder() as folder, running_in(folder, config, *arguments) as running:
        yield running


@contextlib.contextmanager
def running_in(folder: Path, config: str = "", *arguments: str) -> Iterator[Authority]:
    """The same in a folder that is there, whose mesh file stays when there is no other."""
    running = Authority(folder, config, *arguments)
    try:
        yield running
    finally:
        running.server.stop()
