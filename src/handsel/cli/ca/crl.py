"""`handsel ca crl`: the revocation lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common

_state_option = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)


@click.group()
def command() -> None:
    """The revocation lists: complete, divided by serial number, and what changed since.

    They are made anew on a schedule, long before they end, and lie as files in server/crl of the state folder.

    \b
    Examples:
      handsel ca crl list --state /var/lib/handsel
      handsel ca crl build --state /var/lib/handsel
    """


@command.command("list")
@_state_option
@common.output_option
def list_crls(state: Path, output: str) -> None:
    """Show the newest lists.

    \b
    Examples:
      handsel ca crl list -o json --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    _show(call_server(state.absolute(), "GET", "/v1/crls"), output)


@command.command()
@click.option("--dry-run", is_flag=True, help="Only show the lists that there are.")
@_state_option
@common.output_option
def build(state: Path, output: str, *, dry_run: bool) -> None:
    """Make every list anew now, and show what was made.

    \b
    Examples:
      handsel ca crl build --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    method, path = ("GET", "/v1/crls") if dry_run else ("POST", "/v1/crls/build")
    _show(call_server(state.absolute(), method, path), output)


def _show(found: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "CrlList", "crls": found}, indent=2))
    elif output == "yaml":
        common.print_yaml({"kind": "CrlList", "crls": found})
    else:
        rows = [
            (
                each["issuer"], each["name"], str(each["number"]), str(each["entries"]),
                each["this_update"][:16].replace("T", " "), each["next_update"][:16].replace("T", " "),
            )
            for each in found
        ]  # fmt: skip
        common.print_table(("CA", "LIST", "NUMBER", "ENTRIES", "MADE (UTC)", "GOOD UNTIL (UTC)"), rows)
