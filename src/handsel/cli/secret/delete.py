"""`handsel secret delete`: a secret is gone, with every version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@click.argument("name")
@shared.dry_run_option
@shared.state_option
@common.output_option
def command(name: str, state: Path, output: str, *, dry_run: bool) -> None:
    """Delete a secret, or a whole group by its name. It cannot be undone; what was delivered is taken away at once.

    \b
    Examples:
      handsel secret delete db-password --dry-run --state /var/lib/handsel
      handsel secret delete orders --state /var/lib/handsel
    """
    done = shared.ask(state, "POST", "/delete", {"name": name, "dry_run": dry_run})
    verb = "would be deleted" if dry_run else "is deleted"

    def table(found: Any) -> None:
        for each in found["secrets"]:
            click.echo(f"{each} {verb}")

    shared.show("SecretDeletion", done, output, table)
