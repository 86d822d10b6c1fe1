"""`handsel down`: stop what `up` started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from handsel import settings
from handsel.cli import common


@click.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
def command(config: Path, state: Path | None, *, demo: bool) -> None:
    """Drain and stop what `up` started, in order, leaving nothing behind.

    \b
    Examples:
      handsel down
      handsel down --demo
    """
    from handsel.wiring.down import down

    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    stopped = asyncio.run(down(folder, settings.runtime_folder(folder)))
    click.echo("stopped: " + ", ".join(stopped) if stopped else f"nothing runs on {folder}", err=True)
