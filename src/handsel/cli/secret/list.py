"""`handsel secret list`: every secret, without its value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@click.option("--group", default=None, help="Only the secrets of this group.")
@shared.state_option
@common.output_option
def command(group: str | None, state: Path, output: str) -> None:
    """List the secrets: kind, newest version, end, and who gets them.

    \b
    Examples:
      handsel secret list --state /var/lib/handsel
      handsel secret list --group orders -o json --state /var/lib/handsel
    """
    query = f"?{shared.query(group=group)}" if group else ""
    shared.show("Secrets", shared.ask(state, "GET", query), output, _table)


def _table(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            each["name"], each["secret_kind"], str(each["version"]), (each["expires"] or "never")[:16],
            ", ".join(each["granted"]) or "nobody", each["facts"],
        )
        for each in found
    ]  # fmt: skip
    common.print_table(("NAME", "KIND", "VERSION", "EXPIRES", "GRANTED TO", "IS"), rows)
    for each in found:
        if each["warning"]:
            click.echo(f"! {each['name']} {each['warning']}", err=True)
