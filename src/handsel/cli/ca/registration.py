"""`handsel ca registration`: which hosts may join by evidence."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common
from handsel.errors import ExitCode

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def command() -> None:
    """Which hosts may join by evidence, and for which services, as `authority: registration:` says.

    The first rule of the attestor whose guards fit decides; what no rule registers does not join.

    \b
    Examples:
      handsel ca registration preview -f handsel.yaml --attestor oidc --claims claims.json
    """


@command.command()
@common.config_option
@click.option(
    "--attestor", required=True, type=click.Choice(["x509pop", "kubernetes", "oidc", "ssh_host", "tpm"]),
    help="What the host shows.",
)  # fmt: skip
@click.option("--claims", type=_FILE, help="kubernetes, oidc: the claims of a token, as JSON.")
@click.option("--certificate", type=_FILE, help="x509pop, tpm: a certificate, PEM.")
@click.option("--selector", multiple=True, metavar="NAME=VALUE", help="Something that is known of the host.")
@common.output_option
def preview(
    config: Path, attestor: str, claims: Path | None, certificate: Path | None, selector: tuple[str, ...], output: str
) -> None:
    """Show what a host would get, and which rule says so. Asks no server and proves nothing; exits 1 for nothing.

    \b
    Examples:
      handsel ca registration preview -f handsel.yaml --attestor oidc --claims claims.json
      handsel ca registration preview --attestor ssh_host --selector principal=a.example -o json
    """
    from handsel.wiring.mesh_files import load_mesh
    from handsel.wiring.registration import preview as decide
    from handsel.wiring.registration import read_selectors

    selectors = read_selectors(
        attestor, claims.read_bytes() if claims else None, certificate.read_bytes() if certificate else None, selector
    )
    found = decide(load_mesh(config), attestor, selectors)
    if output != "table":
        document = {"apiVersion": "handsel/v1", "kind": "RegistrationPreview", **found}
        click.echo(json.dumps(document, indent=2)) if output == "json" else common.print_yaml(document)
    else:
        click.echo(f"services: {', '.join(found['services']) or 'none'}")
        rows = [
            (
                each["rule"],
                "registers" if each["services"] else "refuses" if each["decides"] else "does not fit",
                ", ".join(each["services"]) or each["reason"],
            )
            for each in found["rules"]
        ]
        common.print_table(("RULE", "SAYS", "WHAT"), rows)
    if not found["services"]:
        raise SystemExit(ExitCode.FAILED)
