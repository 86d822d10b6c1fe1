"""`handsel secret revoke`: a service does not get a secret any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@click.argument("name")
@click.option("--from", "grantee", required=True, metavar="SERVICE|SPIFFE-ID", help="Who does not get it any more.")
@shared.dry_run_option
@shared.state_option
@common.output_option
def command(name: str, grantee: str, state: Path, output: str, *, dry_run: bool) -> None:
    """Take a grant back. What was delivered is taken away at once; a program may have read it: rotate it too.

    \b
    Examples:
      handsel secret revoke db-password --from web --state /var/lib/handsel
      handsel secret revoke orders --from web --dry-run --state /var/lib/handsel
    """
    done = shared.ask(state, "POST", "/revoke", {"name": name, "from": grantee, "dry_run": dry_run})
    verb = "would be" if dry_run else "is"

    def table(found: Any) -> None:
        click.echo(f"{found['unit']} {verb} taken from {found['from']}: {', '.join(found['secrets'])}")

    shared.show("SecretRevocation", done, output, table)
