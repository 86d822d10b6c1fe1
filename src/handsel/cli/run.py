"""`handsel run`: one service's program beside its sidecar."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from handsel.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--service", required=True, help="Which service of the mesh it is.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    required=True,
    envvar="HANDSEL_STATE",
    help="The state folder of this host's agent.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(service: str, state: Path, program: tuple[str, ...]) -> None:
    """Run a program as a service, once its sidecar is ready.

    The program gets PORT, NAME_ADDR, NAME_URL, http_proxy and no_proxy, the names of the services that it calls where
    rights allow, the `user` of its service, and its network namespace when the agent is strict; then it takes the
    place of this process.

    \b
    Examples:
      handsel run --service web --state /var/lib/handsel -- python web.py
      handsel run --service emoji --state /var/lib/handsel -- ./emoji --verbose
    """
    from handsel.agent.holdings import program_environment
    from handsel.cli.local import call_agent
    from handsel.wiring.agent import become

    start = call_agent(state.absolute(), "GET", f"/v1/start?service={service}")
    environment = program_environment(os.environ, start["environment"], Path(sys.executable).parent)
    try:
        become(program, environment, start["owner"], start["hosts"], start.get("network", ""))
    except OSError as error:
        raise UsageError(f"{program[0]} cannot be started: {error.strerror}") from error
