"""Steps on stderr, each with its time as it happens; a spinner where a person watches."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import click


class Step:
    """A step under way; `say` sets what its line tells when it is done."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, text: str) -> None:
        self.text = text


class Steps:
    """Prints one line a step. Quiet prints nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.timings: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; its line appears when it is done, or marks where it failed."""
        step = Step()
        started = time.monotonic()
        self._show_waiting(name)
        try:
            yield step
        except BaseException:
            self._line("✗", "red", name, "", time.monotonic() - started)
            raise
        self.timings[name] = time.monotonic() - started
        self._line("✓", "green", name, step.text, self.timings[name])

    def note(self, text: str) -> None:
        """A line that is no step."""
        if not self._quiet:
            click.echo(f"  {text}", err=True)

    def warn(self, text: str) -> None:
        """A line that somebody should read."""
        if not self._quiet:
            click.echo(f"{self._style('!', 'yellow')} {text}", err=True)

    def _show_waiting(self, name: str) -> None:
        if self._colour and not self._quiet:
            click.echo(f"{click.style('·', fg='cyan')} {name}…", nl=False, err=True)

    def _line(self, mark: str, colour: str, name: str, text: str, seconds: float) -> None:
        if self._quiet:
            return
        if self._colour:
            click.echo("\r\033[K", nl=False, err=True)
        elapsed = self._style(f"{seconds:5.2f} s", "bright_black")
        click.echo(f"{self._style(mark, colour)} {name:<11} {elapsed}  {text}", err=True)

    def _style(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour) if self._colour else text
