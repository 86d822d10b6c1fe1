"""`handsel ca profiles`: the kinds of certificates."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel import settings
from handsel.cli import common
from handsel.cli.ca.place import config_if_any_option


@click.command()
@config_if_any_option
@common.state_option
@common.output_option
def command(config: Path | None, state: Path | None, output: str) -> None:
    """The kinds of certificates: what each allows, its hash, and what the linter said of it.

    A server lints every profile when it loads it, and keeps the verdict in its state folder by the profile's hash.

    \b
    Examples:
      handsel ca profiles
      handsel ca profiles -f handsel.yaml --state /var/lib/handsel -o json
    """
    from handsel.wiring.admin.policy import profiles_by_file
    from handsel.wiring.mesh_files import load_mesh_if_any

    mesh = load_mesh_if_any(config or settings.config_file(), must_exist=config is not None)
    found = profiles_by_file(mesh, common.state_of(state, str(mesh.trust_domain)))
    if output != "table":
        click.echo(json.dumps(found, indent=2)) if output == "json" else common.print_yaml(found)
        return
    rows = [
        (each["name"], each["lifetime"], each["issuer"], "yes" if each["acme"] else "no", each["hash"][:12],
         each["verdict"])
        for each in found["profiles"]
    ]  # fmt: skip
    common.print_table(("PROFILE", "LIFETIME", "ISSUER", "ACME", "HASH", "LINT"), rows)
