"""`handsel cert forecast`: what ends when."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import click

from handsel.cli import common


@click.command()
@click.option("--by", default="1d", show_default=True, help="The length of one line, such as 1h, 1d or 7d.")
@click.option("--lines", default=14, show_default=True, help="So many lines from now on.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@common.output_option
def command(state: Path, by: str, lines: int, output: str) -> None:
    """Show how many valid certificates end when, by profile.

    \b
    Examples:
      handsel cert forecast --state /var/lib/handsel
      handsel cert forecast --by 1h --lines 24 -o json --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    query = urlencode({"span": common.seconds(by, "--by"), "spans": lines})
    found = call_server(state.absolute(), "GET", f"/v1/certificates/forecast?{query}")
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "ExpiryForecast", "spans": found}, indent=2))
    elif output == "yaml":
        common.print_yaml({"kind": "ExpiryForecast", "spans": found})
    else:
        rows = [
            (
                each["begins"][:16].replace("T", " "),
                str(sum(each["by_profile"].values())),
                ", ".join(f"{name} {count}" for name, count in sorted(each["by_profile"].items())),
            )
            for each in found
        ]
        common.print_table(("FROM (UTC)", "END", "PROFILES"), rows)
