"""`handsel mesh tap`: calls as they happen, with both identities."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.errors import UsageError


@click.command()
@click.argument("service", default="")
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@click.option("--from", "source", default="", metavar="SERVICE", help="Only calls of this service, or SPIFFE ID.")
@click.option("--to", "target", default="", metavar="SERVICE", help="Only calls to this service, or SPIFFE ID.")
@click.option("--status", default="", metavar="STATUS", help="Only these answers: 404, 5xx.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many calls.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after so long.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="One line a call, or one JSON object a line.")  # fmt: skip
def command(
    service: str, config: Path, state: Path | None, source: str, target: str, status: str, count: int | None,
    seconds: float | None, output: str, *, demo: bool,
) -> None:  # fmt: skip
    """Show calls through the proxies of this host as they happen, with both identities, until Ctrl-C.

    Where both proxies of a call are on this host, both ends of it are joined; else one end is shown. Single requests
    are seen where ports are layer 7 (`telemetry: {requests: true}`), elsewhere connections.

    \b
    Examples:
      handsel mesh tap
      handsel mesh tap emoji --status 5xx
      handsel mesh tap --from web --to voting --count 10 -o json
    """
    from handsel.cli.local import call_agent
    from handsel.telemetry.tap import Filter

    try:
        wanted = Filter(service, source, target, status)
    except ValueError as error:
        raise UsageError(f"--status: {error}") from error
    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    workloads = call_agent(folder, "GET", "/v1/status")["workloads"]
    raise SystemExit(common.run_until_signal(_show(workloads, wanted, count, seconds, output)))


def _show(workloads: Any, wanted: Any, count: int | None, seconds: float | None, output: str) -> common.Main:
    from handsel.telemetry.tap import line, to_json
    from handsel.wiring.tap import follow, sources_of

    async def show() -> None:
        left = count
        async for seen in follow(sources_of(workloads), wanted):
            click.echo(json.dumps(to_json(seen), ensure_ascii=False) if output == "json" else line(seen))
            sys.stdout.flush()
            left = left - 1 if left else left
            if left == 0:
                return

    async def run(stopping: asyncio.Event) -> int:
        showing, stopped = asyncio.ensure_future(show()), asyncio.ensure_future(stopping.wait())
        done, _ = await asyncio.wait({showing, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in (showing, stopped):
            each.cancel()
        await asyncio.gather(showing, stopped, return_exceptions=True)
        if showing in done:
            try:
                showing.result()
            except BrokenPipeError:
                sys.stdout = None  # whoever read has left; there is nothing to flush at the end
        return 0

    return run
