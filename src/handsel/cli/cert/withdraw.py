"""`handsel cert withdraw`: files that were asked for on this host are kept no more, and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common


@click.command()
@click.argument("which", metavar="NAME|FOLDER")
@click.option("--dry-run", is_flag=True, help="Only show which it would be.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The agent's state folder."
)
@common.output_option
def command(which: str, state: Path, output: str, *, dry_run: bool) -> None:
    """Remove the files that `handsel cert issue` asked for, and keep them no more.

    \b
    Examples:
      handsel cert withdraw web/tls --state /var/lib/handsel
      handsel cert withdraw /etc/web/tls --state /var/lib/handsel
    """
    done = withdraw(state, which, dry_run=dry_run)
    content = {"apiVersion": "handsel/v1", "kind": "Withdrawal", "dry_run": dry_run, **done}
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        verb = "would be removed" if dry_run else "is removed" if done["removed"] else "will be removed"
        click.echo(f"{done['id']} {verb}: {done['folder']}")


def withdraw(state: Path, which: str, *, dry_run: bool) -> dict[str, Any]:
    """Ask the agent. Raises `Unreachable`, or the error that it answers."""
    from handsel.cli.local import call_agent

    name = str(Path(which).absolute()) if which.startswith((".", "/")) or Path(which).is_symlink() else which
    wanted = {"which": name, "dry_run": dry_run}
    done: dict[str, Any] = call_agent(state.absolute(), "POST", "/v1/deliveries/withdraw", wanted)
    return done
