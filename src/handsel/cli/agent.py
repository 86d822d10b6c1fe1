"""`handsel agent`: the agent of this host, and the hosts that have joined."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from handsel import settings
from handsel.cli import common
from handsel.errors import UsageError


@click.group()
def command() -> None:
    """The agent of this host, and the hosts that have joined.

    \b
    Examples:
      handsel agent ticket --state /var/lib/handsel --services web
      handsel agent run --state /var/lib/handsel --ticket hs1.…
    """


@command.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The state folder."
)
@click.option("--ticket", default=None, help="Join with this ticket first, if this host has not joined yet.")
@click.option("--server", "url", default=None, help="The server's address, when it is not the one of the ticket.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where other hosts reach this one.")
@common.envoy_option
def run(state: Path, ticket: str | None, url: str | None, address: str, envoy: Path | None) -> None:
    """Run the agent of this host.

    \b
    Examples:
      handsel agent run --state /var/lib/handsel --ticket hs1.…
      handsel agent run --state /var/lib/handsel --address 10.0.0.7
    """
    from handsel.wiring.agent import open_agent
    from handsel.wiring.logs import log_to

    folder = state.absolute()

    async def serve(stopping: asyncio.Event) -> int:
        async with open_agent(
            folder, settings.runtime_folder(folder), ticket=ticket, url=url, address=address, envoy=envoy
        ) as agent:
            click.echo(f"agent {agent.enrolment.agent_id}, server {agent.enrolment.url}", err=True)
            await stopping.wait()
        return 0

    log_to()
    common.run_until_signal(serve)


@command.command("list")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@common.output_option
def list_hosts(state: Path, output: str) -> None:
    """List the hosts that have joined.

    \b
    Examples:
      handsel agent list --state /var/lib/handsel
      handsel agent list --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    hosts = call_server(state.absolute(), "GET", "/v1/hosts")
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "HostList", "hosts": hosts}, indent=2))
    elif output == "yaml":
        common.print_yaml({"kind": "HostList", "hosts": hosts})
    else:
        rows = [
            (h["agent"], h["host"], "all" if h["services"] == ["*"] else ", ".join(h["services"]), h["joined"][:19])
            for h in hosts
        ]
        common.print_table(("AGENT", "HOST", "SERVICES", "JOINED (UTC)"), rows)


@command.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@click.option("--services", default="", help="The services that the host will run, with commas.  [default: all]")
@click.option("--lifetime", default="10m", show_default=True, help="How long the ticket can be used.")
def ticket(state: Path, services: str, lifetime: str) -> None:
    """Print a join ticket, once.

    \b
    Examples:
      handsel agent ticket --state /var/lib/handsel --services web,emoji
      handsel agent ticket --state /var/lib/handsel --lifetime 1h
    """
    from handsel.cli.local import call_server
    from handsel.model.durations import parse_duration

    names = [name.strip() for name in services.split(",") if name.strip()]
    try:
        seconds = parse_duration(lifetime).total_seconds()
    except ValueError as error:
        raise UsageError(f"--lifetime: {error}") from error
    answer = call_server(state.absolute(), "POST", "/v1/tickets", {"services": names, "lifetime_seconds": seconds})
    click.echo(answer["ticket"])
