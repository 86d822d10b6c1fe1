"""`handsel mesh proxies`: every proxy, in sync or stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common


@click.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@common.output_option
def command(config: Path, state: Path | None, output: str, *, demo: bool) -> None:
    """Show every proxy: the version of its configuration, whether it has it, what it refused, and where that is from.

    \b
    Examples:
      handsel mesh proxies
      handsel mesh proxies --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    content = call_server(folder, "GET", "/v1/proxies")
    document = {"apiVersion": "handsel/v1", "kind": "ProxyList", **content}
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    elif output == "yaml":
        common.print_yaml(document)
    else:
        _print(content)


def _print(content: dict[str, Any]) -> None:
    from handsel.telemetry.proxies import in_one_line

    rows = [
        (each["service"], f"{each['host']} ({each['agent']})", each["version"] or "-", _state(each))
        for each in content["proxies"]
    ]
    common.print_table(("SERVICE", "HOST", "VERSION", "STATE"), rows)
    for each in content["proxies"]:
        for refused in each["refused"]:
            click.echo(f"! {refused['origin']}: {each['service']} refuses {', '.join(refused['names'])}")
            click.echo(f"    {in_one_line(refused['reason'])}")
    if content["not_reported"]:
        click.echo(f"! no host runs {', '.join(content['not_reported'])} yet")
    for alert in content["alerts"]:
        click.echo(f"! alert {alert['kind']}: {alert['summary']}")


def _state(proxy: dict[str, Any]) -> str:
    state = "in sync" if proxy["in_sync"] else f"stale since {proxy['stale_since'] or 'now'}"
    return state if proxy["connected"] else f"{state}, its agent is away"
