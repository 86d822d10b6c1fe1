"""`handsel agent obtain`: the initializer, for init containers and for programs that need certificates first."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from handsel import settings
from handsel.cli import common
from handsel.errors import UsageError


@click.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The state folder."
)
@click.option(
    "--ticket",
    default=None,
    envvar="HANDSEL_TICKET",
    help="Join with this ticket first, if this host has not joined yet.",
)
@click.option("--server", "servers", multiple=True, metavar="URL", help="See `handsel agent run`.")
@click.option("--services", default="", help="Whose certificates, with commas.  [default: all of this host]")
@click.option("--timeout", default="60s", show_default=True, metavar="TIME", help="After so long it gives up.")
@click.option(
    "--allow-commands", is_flag=True, help="Run the commands that the server's mesh file has for delivered files."
)
@common.output_option
def command(
    state: Path, ticket: str | None, servers: tuple[str, ...], services: str, timeout: str, output: str,
    *, allow_commands: bool,
) -> None:  # fmt: skip
    """Obtain the certificates of this host's services, with their files and secrets, and exit.

    Exits 0 when all are there, and 1 (or 4, when the server cannot be reached) with what is lacking. No proxy is run:
    a program that comes after finds key, chain and roots in the state folder, or in the `files:` of its service.

    \b
    Examples:
      handsel agent obtain --state /var/lib/handsel --ticket hs2.…
      handsel agent obtain --state /var/lib/handsel --services web --timeout 30s
    """
    from handsel.agent.model import HostSettings
    from handsel.model.durations import parse_duration
    from handsel.wiring.logs import log_to
    from handsel.wiring.obtain import obtain

    try:
        patience = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
    names = tuple(name.strip() for name in services.split(",") if name.strip())
    folder, host = state.absolute(), HostSettings(allow_commands=allow_commands, proxies=False)
    log_to()
    found = asyncio.run(
        obtain(folder, settings.runtime_folder(folder), host, names, patience, ticket=ticket, servers=servers)
    )
    content = {"apiVersion": "handsel/v1", "kind": "Obtained", "services": found}
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        common.print_table(("SERVICE", "FOLDER"), sorted(found.items()))
