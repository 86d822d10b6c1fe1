"""`handsel ca policy`: who may have which name."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common


@click.group()
def command() -> None:
    """Who may have which name, as `authority: policy:` of the mesh file says.

    A denial wins, wherever it stands; then any rule that allows. What no rule allows is denied. Without a policy, what
    was proven is allowed. Patterns of DNS names: `a.x` is that name, `*.x` one label more, `**.x` or `.x` one or more.

    \b
    Examples:
      handsel ca policy explain web.pay.internal
      handsel ca policy explain 10.1.2.3 --profile payments -o json
    """


@command.command()
@click.argument("name")
@click.option("--account", help="As this ACME account asks.")
@click.option("--eab", help="As an account asks that this external account key opened.")
@click.option("--attestor", help="As somebody asks who was proven by this attestor.")
@click.option("--profile", help="For a certificate of this profile.")
@common.config_option
@common.output_option
def explain(name: str, config: Path, output: str, **who: str | None) -> None:
    """May this name be had, by whom, and which line says so.

    What is left out of the requester stays open: then the rules are shown on which it depends. Works from the file; the
    server also looks at the name constraints of its CAs, and at the names that an external account key is limited to.

    \b
    Examples:
      handsel ca policy explain web.pay.internal -f handsel.yaml
      handsel ca policy explain '*.pay.internal' --profile payments --attestor oidc
      handsel ca policy explain 10.1.2.3 --account 7hXk2 -o json
    """
    from handsel.wiring.admin.policy import explain_by_file
    from handsel.wiring.mesh_files import load_mesh

    found = explain_by_file(load_mesh(config), name, who)
    if output != "table":
        click.echo(json.dumps(found, indent=2)) if output == "json" else common.print_yaml(found)
        return
    click.echo(f"{found['name']}: {found['verdict']}")
    click.echo(f"  {found['why']}")
    if found["rules"]:
        click.echo()
        rows = [(each["where"], each["effect"], each["pattern"], _for(each["for"])) for each in found["rules"]]
        common.print_table(("RULE", "SAYS", "PATTERN", "FOR"), rows)


def _for(conditions: dict[str, list[str]]) -> str:
    return ", ".join(f"{word} {' or '.join(values)}" for word, values in conditions.items()) or "everybody"
