"""Steps on stderr, each with its time as it happens; a spinner where a person watches."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator

import click

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.1


class Step:
    """A step under way; `say` sets what its line tells when it is done."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, text: str) -> None:
        self.text = text


class Steps:
    """Prints one line a step. On a terminal the step under way turns; elsewhere, and without colour, nothing moves."""

    def __init__(self) -> None:
        self._lively = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._printing = threading.Lock()
        self._waiting = ""
        self.timings: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; its line appears when it is done, or marks where it failed."""
        step = Step()
        started = time.monotonic()
        with self._turning(name):
            try:
                yield step
            except BaseException:
                self._done("✗", "red", name, "", time.monotonic() - started)
                raise
            self.timings[name] = time.monotonic() - started
            self._done("✓", "green", name, step.text, self.timings[name])

    def note(self, text: str) -> None:
        """A line that is no step."""
        self._line(f"  {text}")

    def warn(self, text: str) -> None:
        """A line that somebody should read."""
        self._line(f"{self._style('!', 'yellow')} {text}")

    @contextlib.contextmanager
    def _turning(self, name: str) -> Iterator[None]:
        if not self._lively:
            yield
            return
        ended = threading.Event()
        self._waiting = name
        turner = threading.Thread(target=self._turn, args=(ended,), daemon=True)
        turner.start()
        try:
            yield
        finally:
            ended.set()
            turner.join()

    def _turn(self, ended: threading.Event) -> None:
        for frame in itertools.cycle(_FRAMES):
            with self._printing:
                if self._waiting:
                    click.echo(f"\r\033[K{self._style(frame, 'cyan')} {self._waiting}", nl=False, err=True)
            if ended.wait(_FRAME_SECONDS):
                return

    def _done(self, mark: str, colour: str, name: str, text: str, seconds: float) -> None:
        self._waiting = ""
        elapsed = self._style(f"{seconds:5.2f} s", "bright_black")
        self._line(f"{self._style(mark, colour)} {name:<11} {elapsed}  {text}")

    def _line(self, text: str) -> None:
        with self._printing:
            click.echo(f"\r\033[K{text}" if self._lively else text, err=True)

    def _style(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._lively else text
