"""`handsel secret history`: the versions of a secret, and who had to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@click.argument("name")
@shared.state_option
@common.output_option
def command(name: str, state: Path, output: str) -> None:
    """Show the versions of a secret that are kept, and what the journal says of it: puts, grants, reads, deliveries.

    \b
    Examples:
      handsel secret history db-password --state /var/lib/handsel
      handsel secret history orders/store.p12 -o json --state /var/lib/handsel
    """
    found = shared.ask(state, "GET", f"/history?{shared.query(name=name)}")
    shared.show("SecretHistory", found, output, _table)


def _table(found: dict[str, Any]) -> None:
    rows = [
        (str(each["version"]), each["put_at"][:19], each["put_by"], each["expires"] or "never", each["facts"])
        for each in found["versions"]
    ]
    common.print_table(("VERSION", "PUT", "BY", "EXPIRES", "IS"), rows)
    click.echo("")
    common.print_table(("AT", "WHAT", ""), [_access(each) for each in found["accesses"]])


def _access(line: dict[str, str]) -> tuple[str, str, str]:
    said = [f"{key} {value}" for key, value in line.items() if key not in ("at", "act", "secret")]
    return line["at"][:19], line["act"].removeprefix("secret "), ", ".join(said)
