"""`handsel ca show`: the CAs, and how they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common
from handsel.cli.ca.place import find, place_options


@click.command()
@place_options
@common.output_option
def command(config: Path | None, state: Path | None, key_password_file: Path | None, output: str) -> None:
    """The hierarchy: each CA, its key, who keeps it, when it ends, and what should be done about that.

    \b
    Examples:
      handsel ca show --state /var/lib/handsel
      handsel ca show -o json | jq .warnings
    """
    from handsel.wiring import ca

    found = ca.show(find(config, state, key_password_file))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    if output == "yaml":
        common.print_yaml(found)
        return
    rows = [
        (
            each["name"], each["role"], each["key"], "here" if each["keyIsHere"] else "elsewhere",
            each["notAfter"][:10],
            " ".join([*each["permitted"], *(f"not {name}" for name in each["excluded"])]) or "any",
        )
        for each in found["authorities"]
    ]  # fmt: skip
    common.print_table(("CA", "ROLE", "KIND", "KEY", "ENDS", "NAMES"), rows)
    click.echo(f"keys: {found['custody']}")
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}", err=True)
