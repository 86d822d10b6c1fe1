"""`handsel ca acme`: ACME clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from handsel.cli import common

_state_option = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE",
    help="The server's state folder, or an administrator's folder.",
)  # fmt: skip
_dry_run_option = click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")


@click.group()
def command() -> None:
    """Accounts of ACME clients, and the keys that open them.

    \b
    Examples:
      handsel ca acme eab create --names '*.pay.internal' --state /var/lib/handsel
      handsel ca acme accounts list --state /var/lib/handsel
    """


@command.group()
def eab() -> None:
    """Keys for external account binding: who has one may open an account.

    \b
    Examples:
      handsel ca acme eab create --profile payments --lifetime 1d --state /var/lib/handsel
      handsel ca acme eab list --state /var/lib/handsel
    """


@eab.command()
@click.option("--profile", default=None, help="The only profile that its accounts may order.")
@click.option("--names", default="", help="Patterns, joined by commas: all that its accounts may have.")
@click.option("--lifetime", default=None, help="How long it opens accounts, such as 1d.  [default: always]")
@click.option("--reusable", is_flag=True, help="It may open more than one account.")
@click.option("--comment", default="", help="For whom it is.")
@_dry_run_option
@_state_option
def create(
    profile: str | None, names: str, lifetime: str | None, reusable: bool, comment: str, dry_run: bool, state: Path
) -> None:
    """Make a key and print it, this once, as JSON: `kid` and `hmac_key` are what a client asks for.

    \b
    Examples:
      handsel ca acme eab create --names '**.pay.internal,10.0.0.0/8' --comment payments --state /var/lib/handsel
      certbot register --eab-kid KID --eab-hmac-key HMAC_KEY --server https://ca.internal:8443/acme/directory
    """
    from handsel.cli.local import call_server

    wish = {
        "profile": profile, "names": [each.strip() for each in names.split(",") if each.strip()],
        "lifetime": common.seconds(lifetime, "--lifetime") if lifetime else None, "reusable": reusable,
        "comment": comment, "dry_run": dry_run,
    }  # fmt: skip
    made = call_server(state.absolute(), "POST", "/v1/acme/external-keys", wish)
    head = {"apiVersion": "handsel/v1", "kind": "ExternalAccountKey", "dry_run": dry_run, "kid": made.pop("key_id")}
    click.echo(json.dumps(head | {"hmac_key": made.pop("hmac_key", None)} | made, indent=2))


@eab.command("list")
@_state_option
@common.output_option
def list_keys(state: Path, output: str) -> None:
    """List the keys, without their secrets.

    \b
    Examples:
      handsel ca acme eab list --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    found = call_server(state.absolute(), "GET", "/v1/acme/external-keys")
    rows = [
        (
            each["key_id"], each["state"], (each["expires"] or "never")[:16], each["profile"] or "any",
            ",".join(each["names"]) or "any", each["account"] or "", each["comment"],
        )
        for each in found
    ]  # fmt: skip
    head = ("KID", "STATE", "EXPIRES (UTC)", "PROFILE", "NAMES", "ACCOUNT", "COMMENT")
    _print(output, "ExternalAccountKeyList", "keys", found, head, rows)


@eab.command("remove")
@click.argument("kid")
@_dry_run_option
@_state_option
def remove_key(kid: str, dry_run: bool, state: Path) -> None:
    """Open no more accounts with a key. Accounts that it opened stay, and so do the limits that it set them.

    \b
    Examples:
      handsel ca acme eab remove KID --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    call_server(state.absolute(), "POST", "/v1/acme/external-keys/remove", {"key_id": kid, "dry_run": dry_run})
    click.echo(f"{kid} would open no accounts any more" if dry_run else f"{kid} opens no accounts any more")


@command.group()
def accounts() -> None:
    """The accounts of clients.

    \b
    Examples:
      handsel ca acme accounts list --state /var/lib/handsel
    """


@accounts.command("list")
@_state_option
@common.output_option
def list_accounts(state: Path, output: str) -> None:
    """List every account.

    \b
    Examples:
      handsel ca acme accounts list --state /var/lib/handsel -o json
    """
    found = list(_accounts(state.absolute()))
    rows = [
        (each["account"], each["status"], each["created"][:19], each["external_key"] or "", " ".join(each["contact"]))
        for each in found
    ]
    head = ("ACCOUNT", "STATUS", "CREATED (UTC)", "EXTERNAL KEY", "CONTACT")
    _print(output, "AcmeAccountList", "accounts", found, head, rows)


@accounts.command()
@click.argument("account")
@_dry_run_option
@_state_option
def deactivate(account: str, dry_run: bool, state: Path) -> None:
    """Close an account, and with it its orders and authorizations. Its certificates go on until they end.

    \b
    Examples:
      handsel ca acme accounts deactivate ACCOUNT --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    wish = {"account": account, "dry_run": dry_run}
    call_server(state.absolute(), "POST", "/v1/acme/accounts/deactivate", wish)
    click.echo(f"{account} would be closed" if dry_run else f"{account} is closed")


def _accounts(state: Path) -> Iterator[dict[str, Any]]:
    from urllib.parse import quote

    from handsel.cli.local import call_server

    after: str | None = ""
    while after is not None:
        page = call_server(state, "GET", f"/v1/acme/accounts?after={quote(after)}")
        yield from page["accounts"]
        after = page["next"]


def _print(
    output: str, kind: str, what: str, found: list[Any], head: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> None:
    document = {"apiVersion": "handsel/v1", "kind": kind, what: found}
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    elif output == "yaml":
        common.print_yaml(document)
    else:
        common.print_table(head, rows)
