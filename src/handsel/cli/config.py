"""`handsel config`: settings and the mesh file, as they are understood."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common


@click.group()
def command() -> None:
    """Settings and the mesh file, as they are understood.

    \b
    Examples:
      handsel config view
      handsel config schema > handsel.schema.json
    """


@command.command()
def schema() -> None:
    """Print the JSON Schema of the mesh file, for editors.

    \b
    Examples:
      handsel config schema > handsel.schema.json
      # then, as first line of handsel.yaml:
      #   # yaml-language-server: $schema=handsel.schema.json
    """
    from handsel.model import file

    click.echo(json.dumps(file.schema(), indent=2))


@command.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@common.output_option
@click.pass_context
def view(context: click.Context, config: Path, state: Path | None, output: str, *, demo: bool) -> None:
    """Print every setting with its value and where it comes from. Secrets are never printed.

    \b
    Examples:
      handsel config view
      handsel config view -f shop.yaml -o json
    """
    from handsel import settings
    from handsel.wiring.mesh_files import load_mesh, settings_of

    path = common.demo_file() if demo else config
    mesh = load_mesh(path)
    folder = common.state_of(state, str(mesh.trust_domain))
    rows = [
        ("config", str(path), _source(context, "config")),
        ("state", str(folder), _source(context, "state")),
        ("runtime", str(settings.runtime_folder(folder)), "from state"),
        *settings_of(path),
    ]
    if output == "table":
        common.print_table(("SETTING", "VALUE", "FROM"), rows)
        return
    content = {"kind": "Config", "settings": [{"name": n, "value": v, "from": o} for n, v, o in rows]}
    click.echo(json.dumps(content, indent=2)) if output == "json" else common.print_yaml(content)


def _source(context: click.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    kinds = {"COMMANDLINE": "command line", "ENVIRONMENT": f"HANDSEL_{name.upper()}"}
    return kinds.get(source.name if source else "", "default")
