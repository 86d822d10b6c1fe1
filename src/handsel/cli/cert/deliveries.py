"""`handsel cert deliveries`: what the agent of this host keeps as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common


@click.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The agent's state folder."
)
@common.output_option
def command(state: Path, output: str) -> None:
    """List the files that the agent of this host keeps, and how each delivery is.

    \b
    Examples:
      handsel cert deliveries --state /var/lib/handsel
      handsel cert deliveries --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_agent

    found = call_agent(state.absolute(), "GET", "/v1/deliveries")
    content = {"apiVersion": "handsel/v1", "kind": "DeliveryList", "deliveries": found}
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        common.print_table(("DELIVERY", "FOLDER", "FILES", "ASKED FOR", "STANDING"), [_row(each) for each in found])


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    standing = each["problem"] or f"delivered{', ends ' if each['not_after'] else ''}{each['not_after'][:16]}"
    return each["id"], each["folder"], ", ".join(each["files"]), each["asked_for"], standing
