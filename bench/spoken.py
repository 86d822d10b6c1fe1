"""Processes that are spoken to line by line, over their standard input and output."""

from __future__ import annotations

import subprocess
import sys

from harness import environment

Spoken = subprocess.Popen[str]


def begin(*arguments: str) -> Spoken:
    """Python with these arguments, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
    )  # fmt: skip


def say(process: Spoken, text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def line(process: Spoken) -> str:
    """The next line that it says. Ends the bench when it has ended."""
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        sys.exit(f"{process.args} ended")
    return said
