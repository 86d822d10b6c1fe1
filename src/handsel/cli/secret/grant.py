"""`handsel secret grant`: a service gets a secret from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@click.argument("name")
@click.option("--to", "grantee", required=True, metavar="SERVICE|SPIFFE-ID", help="Who gets it.")
@shared.dry_run_option
@shared.state_option
@common.output_option
def command(name: str, grantee: str, state: Path, output: str, *, dry_run: bool) -> None:
    """Grant a secret to a service of the mesh. One of a group is granted with its whole group.

    The agents of the hosts that run the service deliver it at once: as a file in the folder that HANDSEL_SECRETS names
    to the program, and to the sidecar under the name secret:NAME.

    \b
    Examples:
      handsel secret grant db-password --to web --state /var/lib/handsel
      handsel secret grant orders --to spiffe://shop.internal/ns/default/sa/web --state /var/lib/handsel
    """
    done = shared.ask(state, "POST", "/grant", {"name": name, "to": grantee, "dry_run": dry_run})
    verb = "would be" if dry_run else "is"

    def table(found: Any) -> None:
        click.echo(f"{found['unit']} {verb} granted to {found['to']}: {', '.join(found['secrets'])}")

    shared.show("SecretGrant", done, output, table)
