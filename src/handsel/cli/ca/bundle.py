"""`handsel ca bundle`: the roots."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli import common


@click.command()
@common.state_option
@common.config_option
def command(state: Path | None, config: Path) -> None:
    """Print the roots that clients must trust, as PEM.

    \b
    Examples:
      handsel ca bundle --state /var/lib/handsel > root.pem
    """
    from handsel.wiring.ca import read_bundle

    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=False))
    click.echo(read_bundle(folder), nl=False)
