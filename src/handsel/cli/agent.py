"""`handsel agent`: the agent of this host, and the hosts that have joined."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from handsel import settings
from handsel.cli import agent_obtain, agent_wait, common
from handsel.envoy.options import LEVELS, component_levels
from handsel.errors import UsageError
from handsel.model.pod import Interception


@click.group()
def command() -> None:
    """The agent of this host, and the hosts that have joined.

    \b
    Examples:
      handsel agent ticket --state /var/lib/handsel --services web
      handsel agent run --state /var/lib/handsel --ticket hs2.…
      handsel agent obtain --state /var/lib/handsel --services web
      handsel agent wait --state /var/lib/handsel --timeout 2m
      handsel agent quarantine lift 4f1d2c3b4a59 --state /var/lib/handsel
    """


@command.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The state folder."
)
@click.option("--ticket", default=None, help="Join with this ticket first, if this host has not joined yet.")
@click.option(
    "--server", "servers", multiple=True, metavar="URL",
    help="The server's address, when it is not the one of the ticket; given again, one to ask when that is away.",
)  # fmt: skip
@click.option("--address", default="127.0.0.1", show_default=True, help="Where other hosts reach this one.")
@click.option(
    "--moved", is_flag=True, help="The state folder is of another host, which is gone: this one takes its place."
)
@click.option(
    "--allow-commands", is_flag=True, help="Run the commands that the server's mesh file has for delivered files."
)
@click.option(
    "--drain", default="5s", show_default=True, metavar="TIME",
    help="How long connections go on after their peer was revoked, or what they belong to was replaced.",
)  # fmt: skip
@click.option(
    "--metrics-port", default=settings.AGENT_METRICS_PORT, show_default=True,
    help="Metrics of this agent and its proxies, on loopback; 0 takes a free port.",
)  # fmt: skip
@click.option(
    "--strict", is_flag=True, envvar="HANDSEL_STRICT",
    help="Programs live in network namespaces, which only their sidecars leave.",
)  # fmt: skip
@click.option(
    "--pod", type=click.Choice([each.value for each in Interception]), default=None,
    help="This is the sidecar of a pod (see `handsel mesh inject`), to which connections come so.",
)  # fmt: skip
@click.option("--app-probes", default="", envvar="HANDSEL_APP_PROBES", hidden=True, help="What the pod's probes ask.")
@click.option(
    "--concurrency", type=click.IntRange(0, 1024), default=1, show_default=True,
    help="Worker threads of each Envoy; 0 is one a CPU.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="warning", show_default=True, help="What each Envoy logs."
)
@click.option("--component-log-level", default="", metavar="LEVELS", help="The same by part: http:debug,upstream:info")
@common.envoy_option
def run(
    state: Path, ticket: str | None, servers: tuple[str, ...], address: str, drain: str, metrics_port: int,
    envoy: Path | None, pod: str | None, app_probes: str, concurrency: int, log_level: str, component_log_level: str,
    *, moved: bool, allow_commands: bool, strict: bool,
) -> None:  # fmt: skip
    """Run the agent of this host.

    As a service of the host: see `handsel join --systemd`.

    \b
    Examples:
      handsel agent run --state /var/lib/handsel --ticket hs2.…
      handsel agent run --state /var/lib/handsel --address 10.0.0.7
      handsel agent run --state /var/lib/handsel --strict
    """
    from handsel.agent.model import HostSettings
    from handsel.envoy.options import Options
    from handsel.model.durations import parse_duration
    from handsel.wiring.agent import run_agent
    from handsel.wiring.agent_metrics import MetricsDoor
    from handsel.wiring.logs import log_to

    folder = state.absolute()
    if strict and pod:
        raise UsageError("--strict makes network namespaces, and a pod is one: leave one of --strict and --pod out")
    try:
        draining = parse_duration(drain)
    except ValueError as error:
        raise UsageError(f"--drain: {error}") from error
    try:
        options = Options(concurrency, log_level, component_log_level and component_levels(component_log_level))
    except ValueError as error:
        raise UsageError(f"--component-log-level: {error}") from error
    host = HostSettings(
        address, allow_commands, drain=draining, strict=strict, pod=Interception(pod) if pod else None, envoy=options
    )
    said = click.get_current_context().get_parameter_source("metrics_port")
    metrics = MetricsDoor(metrics_port, may_move=said is ParameterSource.DEFAULT)

    async def serve(stopping: asyncio.Event) -> int:
        async with run_agent(
            folder, settings.runtime_folder(folder), host, ticket=ticket, servers=servers, envoy=envoy, moved=moved,
            metrics=metrics, probes=app_probes,
        ) as agent:  # fmt: skip
            where = f"server {agent.server.enrolment.url}, metrics {agent.metrics_url}"
            click.echo(f"agent {agent.server.enrolment.agent_id}, {where}", err=True)
            await stopping.wait()
        return 0

    log_to()
    common.run_until_signal(serve)


command.add_command(agent_obtain.command, "obtain")
command.add_command(agent_wait.command, "wait")


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
            (
                h["agent"], h["host"], "all" if h["services"] == ["*"] else ", ".join(h["services"]), h["joined"][:19],
                h["standing"] if h["standing"] == "good" else f"{h['standing'].upper()}: {h['cause']}",
            )
            for h in hosts
        ]  # fmt: skip
        common.print_table(("AGENT", "HOST", "SERVICES", "JOINED (UTC)", "STANDING"), rows)


@command.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@click.option("--services", default="", help="The services that the host will run, with commas.  [default: all]")
@click.option("--lifetime", default="10m", show_default=True, help="How long the ticket can be used.")
@click.option("--for-host", default="", help="Only the host of this name can use it.")
@click.option("--for-network", default="", help="Only a host from these addresses can use it, such as 10.0.0.0/24.")
@click.option("--for-key", default="", help="Only the host with this key can use it: the pin of `handsel agent key`.")
def ticket(state: Path, services: str, lifetime: str, for_host: str, for_network: str, for_key: str) -> None:
    """Print a join ticket, once.

    \b
    Examples:
      handsel agent ticket --state /var/lib/handsel --services web,emoji
      handsel agent ticket --state /var/lib/handsel --lifetime 1h --for-network 10.0.0.0/24
    """
    from handsel.cli.local import call_server
    from handsel.model.durations import parse_duration

    names = [name.strip() for name in services.split(",") if name.strip()]
    try:
        seconds = parse_duration(lifetime).total_seconds()
    except ValueError as error:
        raise UsageError(f"--lifetime: {error}") from error
    wish = {
        "services": names, "lifetime_seconds": seconds, "host_name": for_host, "network": for_network,
        "key_pin": for_key,
    }  # fmt: skip
    click.echo(call_server(state.absolute(), "POST", "/v1/tickets", wish)["ticket"])


@command.command()
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The state folder."
)
def key(state: Path) -> None:
    """Print the pin of the key that this host will join with, so that a ticket can be made for it alone.

    \b
    Examples:
      handsel agent key --state /var/lib/handsel
    """
    from handsel.wiring.agent import prepare_key

    folder = state.absolute()
    click.echo(prepare_key(folder, settings.runtime_folder(folder)))


@command.group()
def quarantine() -> None:
    """Hosts for which nothing is signed until somebody has looked: their ticket came a second time.

    \b
    Examples:
      handsel agent quarantine lift 4f1d2c3b4a59 --state /var/lib/handsel
    """


_server_state = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
_cause = click.option("--cause", default="", help="Why; it is written into the journal.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")


def _about_a_host(verb: Callable[..., None]) -> Callable[..., None]:
    """The argument and options of every verb that changes how a host stands."""
    for add in (common.output_option, _dry_run, _cause, _server_state, click.argument("agent")):
        verb = add(verb)
    return verb


@quarantine.command()
@_about_a_host
def lift(agent: str, state: Path, cause: str, dry_run: bool, output: str) -> None:
    """Let a host in quarantine renew again.

    \b
    Examples:
      handsel agent quarantine lift 4f1d2c3b4a59 --state /var/lib/handsel --cause "it was our own second try"
    """
    _set_standing("lift", agent, state, cause, dry_run, output)


@quarantine.command()
@_about_a_host
def put(agent: str, state: Path, cause: str, dry_run: bool, output: str) -> None:
    """Sign nothing for a host until that is lifted.

    \b
    Examples:
      handsel agent quarantine put 4f1d2c3b4a59 --state /var/lib/handsel --cause "being looked into"
    """
    _set_standing("quarantine", agent, state, cause, dry_run, output)


@command.command()
@_about_a_host
def ban(agent: str, state: Path, cause: str, dry_run: bool, output: str) -> None:
    """Listen to a host no more, and revoke every certificate that it has.

    \b
    Examples:
      handsel agent ban 4f1d2c3b4a59 --state /var/lib/handsel --cause "the machine was sold"
    """
    _set_standing("ban", agent, state, cause, dry_run, output)


@command.command()
@_about_a_host
def unban(agent: str, state: Path, cause: str, dry_run: bool, output: str) -> None:
    """Listen to a banned host again. It comes back by its recovery key; what was revoked stays so until it is renewed.

    \b
    Examples:
      handsel agent unban 4f1d2c3b4a59 --state /var/lib/handsel
    """
    _set_standing("unban", agent, state, cause, dry_run, output)


def _set_standing(act: str, agent: str, state: Path, cause: str, dry_run: bool, output: str) -> None:
    from handsel.cli.local import call_server

    wish = {"agent": agent, "act": act, "cause": cause, "dry_run": dry_run}
    done = call_server(state.absolute(), "POST", "/v1/hosts/standing", wish)
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "HostStanding", **done}, indent=2))
    elif output == "yaml":
        common.print_yaml({"apiVersion": "handsel/v1", "kind": "HostStanding", **done})
    else:
        verb = "would be" if dry_run else "is"
        click.echo(f"{done['agent']} ({done['host']}) {verb} {done['standing']}, before: {done['before']}")
        if done["revoked"]:
            click.echo(f"{len(done['revoked'])} certificates {verb.replace('is', 'are')} revoked")
