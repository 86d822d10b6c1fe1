"""`handsel up --detach`: the same command in a session of its own; we return when it is up, or when it failed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from handsel.errors import ExitCode, UsageError
from handsel.store.adapters.files import make_folder
from handsel.wiring.down import up_record

_LONGEST_START_SECONDS = 90.0
_PAUSE_SECONDS = 0.1


def detach(state: Path, arguments: list[str]) -> int:
    """Start `handsel ARGUMENTS` without `--detach`, show its output until it is up. Returns an exit code."""
    make_folder(state, passable=True)
    output = state / "up.out"
    with output.open("w+b") as file:
        child = subprocess.Popen(  # noqa: S603  # ourselves, with the words we were given
            [sys.executable, "-m", "handsel", *(each for each in arguments if each != "--detach")],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        shown = 0
        while time.monotonic() < deadline:
            shown = _show(output, shown)
            if child.poll() is not None:
                _show(output, shown)
                return child.returncode
            if up_record(state).exists():
                time.sleep(_PAUSE_SECONDS)
                _show(output, shown)
                return ExitCode.OK
            time.sleep(_PAUSE_SECONDS)
    child.terminate()
    raise UsageError(f"it was not up within {_LONGEST_START_SECONDS:.0f} s", next_step=f"see {output}")


def _show(output: Path, shown: int) -> int:
    """Print what was written since position `shown`; returns the new position."""
    with output.open("rb") as file:
        file.seek(shown)
        text = file.read()
    sys.stderr.write(text.decode(errors="replace").replace("stop: Ctrl-C", "stop: handsel down"))
    sys.stderr.flush()
    return shown + len(text)
