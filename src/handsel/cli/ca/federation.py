"""`handsel ca federation`: the trust domains whose bundles our workloads get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common

_state = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
_name = click.argument("trust_domain", metavar="TRUST_DOMAIN")


@click.group()
def command() -> None:
    """The trust domains that this one federates with, as `federation:` of the mesh file says.

    \b
    Examples:
      handsel ca federation list --state /var/lib/handsel
      handsel ca federation refresh other.example --state /var/lib/handsel
    """


@command.command("list")
@_state
@common.output_option
def list_(state: Path, output: str) -> None:
    """List them: which bundle is kept, and how the last look went.

    \b
    Examples:
      handsel ca federation list --state /var/lib/handsel
      handsel ca federation list --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    found = call_server(state.absolute(), "GET", "/v1/federation")
    if output != "table":
        _print_document({"apiVersion": "handsel/v1", "kind": "Federation", "trustDomains": found}, output)
        return
    rows = [
        (
            each["trustDomain"], each["profile"], _text(each["sequence"]), str(len(each["x509Authorities"])),
            str(len(each["jwtAuthorities"])), _text(each["found"])[:19], each["problem"] or "",
        )
        for each in found
    ]  # fmt: skip
    common.print_table(("TRUST DOMAIN", "PROFILE", "SEQUENCE", "CAS", "JWT KEYS", "LAST SEEN", "PROBLEM"), rows)


@command.command()
@_name
@_state
@common.output_option
def show(trust_domain: str, state: Path, output: str) -> None:
    """Show one of them, with its CAs and keys and the services that get its bundle.

    \b
    Examples:
      handsel ca federation show other.example --state /var/lib/handsel
    """
    from urllib.parse import quote

    from handsel.cli.local import call_server

    path = f"/v1/federation/show?trust_domain={quote(trust_domain, safe='')}"
    _print(call_server(state.absolute(), "GET", path), output)


@command.command()
@_name
@_state
@click.option(
    "--anew", is_flag=True,
    help="Forget the last bundle: begin with the file for the first contact, and take an older sequence.",
)  # fmt: skip
@common.output_option
def refresh(trust_domain: str, state: Path, output: str, *, anew: bool) -> None:
    """Look for the bundle of one of them now. When that fails, the last good one stays.

    \b
    Examples:
      handsel ca federation refresh other.example --state /var/lib/handsel
      handsel ca federation refresh other.example --anew --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    wish = {"trust_domain": trust_domain, "anew": anew}
    _print(call_server(state.absolute(), "POST", "/v1/federation/refresh", wish), output)


def _print(found: dict[str, Any], output: str) -> None:
    if output != "table":
        _print_document({"apiVersion": "handsel/v1", "kind": "FederatedTrustDomain", **found}, output)
        return
    for title, key in (
        ("trust domain", "trustDomain"), ("address", "url"), ("profile", "profile"), ("server", "endpointId"),
        ("sequence", "sequence"), ("unchanged since", "since"), ("last seen", "found"), ("problem", "problem"),
    ):  # fmt: skip
        click.echo(f"{title + ':':<17}{_text(found[key])}")
    click.echo(f"{'services:':<17}{', '.join(found['services']) or '-'}")
    for each in found["x509Authorities"]:
        click.echo(f"{'CA:':<17}{each['sha256']} {each['subject']}, ends {each['notAfter'][:10]}")
    for kid in found["jwtAuthorities"]:
        click.echo(f"{'JWT key:':<17}{kid}")


def _print_document(document: dict[str, Any], output: str) -> None:
    click.echo(json.dumps(document, indent=2)) if output == "json" else common.print_yaml(document)


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
