"""Every harness: its kept corpus, and some seconds of inputs that grow from it, each in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_HARNESSES = sorted(path.stem.removeprefix("fuzz_") for path in _HERE.glob("fuzz_*.py"))
_SECONDS = int(os.environ.get("HANDSEL_FUZZ_SECONDS", "2"))
# The usual run tries the same inputs each time, so that it fails for what was changed. A longer one goes other ways.
_SEED = "0" if "HANDSEL_FUZZ_SECONDS" in os.environ else "1"


@pytest.mark.parametrize("name", _HARNESSES)
def test_the_kept_corpus_finds_nothing(name: str) -> None:
    """Each input that once found something, and those that reach far, are tried again."""
    harness = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    for path in sorted((_HERE / "corpus" / name).glob("*")):
        harness.fuzz(path.read_bytes())
    harness.fuzz(b"")


@pytest.mark.parametrize("name", _HARNESSES)
def test_some_seconds_find_nothing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris")
    command = [sys.executable, "-m", "tests.fuzz.run", name, str(_SECONDS), _SEED, str(tmp_path)]
    done = subprocess.run(command, cwd=_HERE.parents[1], capture_output=True, timeout=120 + _SECONDS, check=False)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said[-4000:]
    assert "Done" in said, said[-4000:]  # it did run


def test_a_bug_is_found(tmp_path: Path) -> None:
    """The control: a harness that breaks on an input of its corpus makes the run fail."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris")
    (tmp_path / "seed").write_bytes(b"boom")
    script = (
        "import sys, atheris\n"
        "def fuzz(data):\n    assert data != b'boom'\n"
        "atheris.Setup([sys.argv[0], '-max_total_time=5', *sys.argv[1:]], fuzz)\n"
        "atheris.Fuzz()\n"
    )
    command = [sys.executable, "-c", script, f"-artifact_prefix={tmp_path}/", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0
