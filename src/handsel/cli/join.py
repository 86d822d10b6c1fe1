"""`handsel join`: enrol this host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from handsel import settings


@click.command()
@click.argument("url", required=False)
@click.option(
    "--ticket", required=True, envvar="HANDSEL_TICKET", help="The ticket that `handsel agent ticket` printed."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    required=True,
    envvar="HANDSEL_STATE",
    help="The state folder of this host.",
)
def command(url: str | None, ticket: str, state: Path) -> None:
    """Enrol this host with a ticket. The ticket burns; the host keeps a key that never leaves it.

    \b
    Examples:
      handsel join --ticket hs1.… --state /var/lib/handsel
      handsel join https://10.0.0.5:8443 --ticket hs1.… --state /var/lib/handsel
    """
    from handsel.wiring.agent import join_host
    from handsel.wiring.logs import log_to

    log_to()
    folder = state.absolute()
    enrolment, new = asyncio.run(join_host(folder, settings.runtime_folder(folder), ticket, url))
    verb = "joined" if new else "has joined before"
    click.echo(f"this host {verb}: {enrolment.trust_domain}, agent {enrolment.agent_id}", err=True)
    click.echo(f"next: handsel agent run --state {state}", err=True)
