"""`handsel mesh config`: the mesh as it is compiled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.errors import UsageError


@click.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@click.option("--stage", type=click.Choice(["model", "ir", "xds"]), default="xds", show_default=True,
              help="How far to compile: the graph, the plans, Envoy's configuration.")  # fmt: skip
@click.option("--service", default="", help="Only this service.")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), default="yaml", show_default=True)
def command(config: Path, state: Path | None, stage: str, service: str, output: str, *, demo: bool) -> None:
    """Print a stage of compiling. Secrets appear by name only.

    \b
    Examples:
      handsel mesh config --stage model
      handsel mesh config --stage xds --service web -o json
    """
    from handsel.mesh.stages import Stage
    from handsel.mesh.stages import show as show_stage

    if stage == Stage.MODEL:
        from handsel.wiring.mesh_files import load_mesh

        content = show_stage(load_mesh(common.demo_file() if demo else config), {}, Stage.MODEL)
        content = content["services"].get(service, content)
    else:
        content = _of_server(config, state, stage, service, demo=demo)
    click.echo(json.dumps(content, indent=2)) if output == "json" else common.print_yaml(content)


def _of_server(config: Path, state: Path | None, stage: str, service: str, *, demo: bool) -> dict[str, Any]:
    """Ports and addresses are known to the running server only."""
    from handsel.cli.local import call_server

    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    content: dict[str, Any] = call_server(folder, "GET", f"/v1/config?stage={stage}")
    if not service:
        return content
    chosen = {name: each for name, each in content.items() if name.partition("/")[2] == service}
    if not chosen:
        known = ", ".join(sorted(name.partition("/")[2] for name in content)) or "none yet"
        raise UsageError(f"no host runs {service!r}", next_step=f"known: {known}")
    return chosen
