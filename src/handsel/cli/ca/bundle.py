"""`handsel ca bundle`: whom to believe."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common


@click.command()
@common.state_option
@common.config_option
@click.option(
    "--format", "form", type=click.Choice(["pem", "spiffe"]), default="pem", show_default=True,
    help="The roots as PEM, or the SPIFFE bundle as JSON, which a running server keeps.",
)  # fmt: skip
def command(state: Path | None, config: Path, form: str) -> None:
    """Print the roots that clients must trust, as PEM; or the SPIFFE bundle of this trust domain.

    Another trust domain takes either as the `bundle` of its first contact. Later it looks itself, at /spiffe/bundle of
    the server.

    \b
    Examples:
      handsel ca bundle --state /var/lib/handsel > root.pem
      handsel ca bundle --format spiffe --state /var/lib/handsel > shop.bundle.json
    """
    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=False))
    if form == "spiffe":
        from handsel.cli.local import call_server

        click.echo(json.dumps(call_server(folder, "GET", "/v1/bundle"), indent=2))
        return
    from handsel.wiring.ca import read_bundle

    click.echo(read_bundle(folder), nl=False)
