"""`handsel agent wait`: for what must not start before the sidecar can take its calls."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from handsel.errors import StateError, Unreachable, UsageError

_AGAIN_SECONDS = 0.2


@click.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The state folder."
)
@click.option("--timeout", default="60s", show_default=True, metavar="TIME", help="After so long it gives up.")
def command(state: Path, timeout: str) -> None:
    """Wait until the proxies of this host's services are ready, and exit.

    Exits 0 once all are, and 1 (or 4, when no agent answers) with what is lacking.

    \b
    Examples:
      handsel agent wait --state /var/lib/handsel
      handsel agent wait --state /var/lib/handsel --timeout 2m
    """
    from handsel.model.durations import parse_duration

    try:
        deadline = time.monotonic() + parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    while True:
        try:
            lacking = _lacking(state.absolute())
            if not lacking:
                return
            problem: Exception = StateError(f"{lacking} within {timeout}", next_step="see handsel status")
        except Unreachable as error:
            problem = error
        if time.monotonic() >= deadline:
            raise problem
        time.sleep(_AGAIN_SECONDS)


def _lacking(state: Path) -> str:
    """What is not ready; empty when all is. Raises `Unreachable`."""
    from handsel.cli.local import call_agent

    status: dict[str, Any] = call_agent(state, "GET", "/v1/status")
    waiting = [each["service"] for each in status["workloads"] if not each["ready"]]
    if waiting:
        return f"not ready: {', '.join(waiting)}"
    return "" if status["workloads"] else "no service was registered to this host"
