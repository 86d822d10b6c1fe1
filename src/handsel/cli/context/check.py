"""`handsel context check`: contexts, loaded for real."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from handsel.cli import common
from handsel.errors import ExitCode


@click.command()
@click.argument("name", required=False)
@common.config_option
@common.output_option
def command(name: str | None, config: Path, output: str) -> None:
    """Load a context, or all of them, as a program would: what each side shows, and whom it believes.

    Exits with 1 if one cannot be loaded, or is insecure where the file forbids that.

    \b
    Examples:
      handsel context check
      handsel context check orders -f shop.yaml
      handsel run web -- handsel context check     what comes from the agent is seen there only
    """
    from handsel.wiring.contexts import check, chosen, read_declared

    declared = read_declared(config)
    wanted = [chosen(declared.contexts, name, config)] if name else list(declared.contexts.values())
    found = [each for context in wanted for each in check(context, os.environ)]
    forbidden = declared.forbid_insecure and any(each.insecure for each in found)
    if output != "table":
        content = {"kind": "TlsContextCheck", "sides": [{**vars(each), "side": str(each.side)} for each in found]}
        click.echo(json.dumps({"apiVersion": "handsel/v1", **content}, indent=2)) if output == "json" else (
            common.print_yaml(content)
        )
    else:
        for each in found:
            head = f"{each.name} as {each.side}"
            if each.error:
                click.secho(f"✗ {head}: {each.error}", fg="red")
            elif each.insecure:
                click.secho(f"! {head}: shows {each.shows}; believes {each.trusts}", fg="red", bold=True)
            else:
                click.echo(f"✓ {head}: shows {each.shows}; believes {each.trusts}")
        if not found:
            click.echo("the mesh file declares no contexts")
    if forbidden:
        click.secho("insecure contexts are forbidden by forbid_insecure in this file", fg="red", err=True)
    if forbidden or any(each.error for each in found):
        raise SystemExit(ExitCode.FAILED)
