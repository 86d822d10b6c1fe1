"""`handsel ca admin`: who administers the authority."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click

from handsel.cli import common

_ROLES = ("viewer", "operator", "administrator")
_state_option = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE",
    help="The server's state folder, or an administrator's folder.",
)  # fmt: skip


@click.group()
def command() -> None:
    """Who administers this authority, and with which role.

    On the server's own machine its user and root may do everything, through the admin socket. From elsewhere an
    administrator shows a client certificate; `add` makes a folder with all that is needed, to be given as --state.

    \b
    Examples:
      handsel ca admin add alice --role operator --out alice --state /var/lib/handsel
      handsel agent list --state alice
      handsel ca admin remove alice --state /var/lib/handsel
    """


@command.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What they may do.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="A new folder: key, certificate, roots, address."
)
@click.option("--server", "url", default=None, help="The server's address as they reach it.  [default: its own]")
@_state_option
def add(name: str, role: str, out: Path, url: str | None, state: Path) -> None:
    """Give somebody a role and a certificate, or another role than before.

    A viewer reads what is no secret; an operator also makes tickets, revokes and bans; an administrator may do all.

    \b
    Examples:
      handsel ca admin add alice --role viewer --out alice --state /var/lib/handsel
    """
    from handsel.cli.local import call_server
    from handsel.errors import UsageError
    from handsel.pki import csr
    from handsel.pki.keys import PrivateKey
    from handsel.wiring.admin_folder import AdminFolder

    if out.exists():
        raise UsageError(f"{out} is there already", next_step="name a new folder with --out")
    key = PrivateKey.generate()
    wish = {"name": name, "role": role, "csr": base64.b64encode(csr.build(key, None)).decode()}
    answer = call_server(state.absolute(), "POST", "/v1/administrators", wish)
    status = call_server(state.absolute(), "GET", "/v1/status")
    AdminFolder(out).write(
        key, answer["chain"].encode(), answer["roots"].encode(), url or status["server"], status["trust_domain"]
    )
    click.echo(f"{name} is {role}; --state {out} from now on (until {answer['not_after'][:16]} UTC)")


@command.command("list")
@_state_option
@common.output_option
def list_all(state: Path, output: str) -> None:
    """List everybody with a role.

    \b
    Examples:
      handsel ca admin list --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    found = call_server(state.absolute(), "GET", "/v1/administrators")
    if output == "json":
        click.echo(
            json.dumps({"apiVersion": "handsel/v1", "kind": "AdministratorList", "administrators": found}, indent=2)
        )
    elif output == "yaml":
        common.print_yaml({"kind": "AdministratorList", "administrators": found})
    else:
        rows = [(each["name"], each["role"], each["added"][:19], each["added_by"]) for each in found]
        common.print_table(("NAME", "ROLE", "ADDED (UTC)", "BY"), rows)


@command.command()
@click.argument("name")
@_state_option
def remove(name: str, state: Path) -> None:
    """Take somebody's role away; the certificate is of no use from then on.

    \b
    Examples:
      handsel ca admin remove alice --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    call_server(state.absolute(), "POST", "/v1/administrators/remove", {"name": name})
    click.echo(f"{name} administers nothing any more")
