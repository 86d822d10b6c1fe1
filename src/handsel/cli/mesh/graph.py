"""`handsel mesh graph`: who talks to whom."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common


@click.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml", "svg"]), default="table",
              show_default=True, help="How to print the answer; svg is a drawing.")  # fmt: skip
def command(config: Path, state: Path | None, output: str, *, demo: bool) -> None:
    """Show who talks to whom, how each edge is encrypted, and its share of the traffic.

    Proxies count since they started; their agents tell the server every ten seconds. Calls that are declared and
    were never made are marked, and so is what was seen and is not declared.

    \b
    Examples:
      handsel mesh graph
      handsel mesh graph -o svg > mesh.svg
      handsel mesh graph -o json
    """
    from handsel.cli.local import call_server
    from handsel.telemetry.graph import HEAD, from_json, rows

    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    content = call_server(folder, "GET", "/v1/graph")
    document = {"apiVersion": "handsel/v1", "kind": "Graph", **content}
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    elif output == "yaml":
        common.print_yaml(document)
    elif output == "svg":
        from handsel.telemetry.svg import draw

        click.echo(draw(from_json(content)), nl=False)
    else:
        graph = from_json(content)
        common.print_table(HEAD, rows(graph))
        for service, number in sorted(graph.refused.items()):
            click.echo(f"! {service} refused {number} at its own port")
        if graph.hosts_heard < graph.hosts:
            click.echo(f"note: {graph.hosts_heard} of {graph.hosts} hosts told this server what they counted")
