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
      handsel config migrate --state /var/lib/handsel --dry-run
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


@command.command()
@common.state_option
@common.config_option
@common.database_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def migrate(
    state: Path | None, config: Path, database: str | None, database_password_file: Path | None, *, dry_run: bool
) -> None:
    """Bring the server's database to the schema of this version. Stop the server first.

    A file in the state folder is migrated by `handsel server` itself when it starts, and a copy is kept beside it as it
    was. PostgreSQL is migrated only here, or by `handsel server --migrate`: in one transaction, all or nothing.

    \b
    Examples:
      handsel config migrate --state /var/lib/handsel --dry-run
      handsel config migrate --database postgresql://handsel@db.example.com/handsel
    """
    from handsel.wiring.storage import Storage

    storage = Storage.at(database, database_password_file, seen=common.database_is_seen())
    folder = Path()
    if storage.database is None:
        folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=False))
    done = storage.migrate_now(folder / "server", dry_run=dry_run)
    if not done.steps:
        click.echo(f"{done.where} has the schema {done.now} already")
        return
    word = "would be migrated" if dry_run else "was migrated"
    click.echo(f"{done.where} {word}: {done.before or 'empty'} -> {' -> '.join(done.steps)}")
    if done.kept:
        click.echo(f"  as it was before: {done.kept}")


def _source(context: click.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    kinds = {"COMMANDLINE": "command line", "ENVIRONMENT": f"HANDSEL_{name.upper()}"}
    return kinds.get(source.name if source else "", "default")
