"""`handsel status`: one screen."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.local import call_agent, call_server
from handsel.errors import Unreachable, UsageError

_NAMESPACE = "network namespace"


@click.command()
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C; with -o json one document a line.")
@click.option("--interval", help="--watch: how often.  [default: 2s]")
@common.output_option
def command(config: Path, state: Path | None, output: str, interval: str | None, *, demo: bool, watch: bool) -> None:
    """Show the authority, the hosts, the proxies and their certificates on one screen.

    \b
    Examples:
      handsel status
      handsel status --demo -o json
      handsel status --watch --interval 5s
    """
    if interval and not watch:
        raise UsageError("--interval is about --watch", next_step="handsel status --watch --interval 5s")
    folder = state.absolute() if state else common.state_of(None, common.trust_domain(config, demo=demo))
    if watch:
        _watch(folder, output, common.seconds(interval or "2s", "--interval"))
    else:
        _show(_status(folder), output)


def _show(status: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(status, indent=2))
    elif output == "yaml":
        common.print_yaml(status)
    else:
        _print(status)


def _watch(folder: Path, output: str, seconds: float) -> None:
    """Until Ctrl-C, which is how it ends well. That nothing runs is no end: it may come back."""
    if seconds <= 0:
        raise UsageError("--interval is longer than that", next_step="such as --interval 2s")
    try:
        while True:
            click.echo(_once(folder, output), nl=False)
            sys.stdout.flush()
            time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo("", err=True)
    except BrokenPipeError:
        sys.stdout = None  # whoever read has left; there is nothing to flush at the end


def _once(folder: Path, output: str) -> str:
    """One screen: in the place of the last one on a terminal, else below it. As JSON a line, as YAML a document."""
    now = datetime.now(UTC)
    try:
        status = _status(folder)
    except Unreachable as error:
        status = {"apiVersion": "handsel/v1", "kind": "Status", "state": str(folder), "problem": str(error)}
    status["time"] = now.isoformat(timespec="milliseconds")
    if output == "json":
        return json.dumps(status) + "\n"
    with redirect_stdout(io.StringIO()) as text:
        if output == "table":
            click.echo(f"{now:%H:%M:%S} UTC, {folder}\n")
        if output == "table" and "problem" in status:
            click.echo(f"! {status['problem']}")
        else:
            _show(status, output)
    if output == "yaml":
        return f"---\n{text.getvalue()}"
    return f"\033[H\033[2J{text.getvalue()}" if sys.stdout.isatty() else f"{text.getvalue()}\n"


def _status(folder: Path) -> dict[str, Any]:
    server = _ask(call_server, folder)
    agent = _ask(call_agent, folder)
    if server is None and agent is None:
        raise Unreachable(f"neither a server nor an agent runs on {folder}", next_step="start it: handsel up")
    return {"apiVersion": "handsel/v1", "kind": "Status", "state": str(folder), "server": server, "agent": agent}


def _ask(call: Any, folder: Path) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = call(folder, "GET", "/v1/status")
    except Unreachable:
        return None
    return answer


def _print(status: dict[str, Any]) -> None:
    server, agent = status["server"], status["agent"]
    if server:
        authority = server["authority"]
        click.echo(f"trust domain  {server['trust_domain']}")
        click.echo(f"server        {server['server']}   metrics {server['metrics']}")
        click.echo(
            f"authority     root ends {authority['root_not_after'][:10]}, issuing CA ends "
            f"{authority['issuing_not_after'][:10]}, {authority['issued']} certificates issued"
        )
        click.echo(f"profiles      {authority['profiles']}")
        click.echo(f"hosts         {', '.join(_host(host) for host in server['hosts']) or 'none has joined'}")
    else:
        click.echo("server        away: proxies go on with what they hold")
    if agent and agent["metrics"]:
        click.echo(f"agent         {agent['agent']}   metrics {agent['metrics']}")
    if agent and agent["server_problem"]:
        click.echo(f"link          {agent['server_problem']}")
    rows = [_agent_row(each) for each in agent["workloads"]] if agent else []
    if not agent and server:
        rows = [_server_row(each) for each in server["workloads"]]
    click.echo("")
    common.print_table(("SERVICE", "CERTIFICATE", "PROXY", "PORT", "CALLS"), rows)
    for line in _problems(status):
        click.echo(f"! {line}")
    click.echo("")
    for note in _notes(agent) if agent else ():
        click.echo(f"note: {note}")
    if server and not server["server_post_quantum"]:
        click.echo("note: the server's own door has no post-quantum group: its OpenSSL is older than 3.5")


def _host(host: dict[str, Any]) -> str:
    services = "all services" if host["services"] == ["*"] else ", ".join(host["services"])
    standing = "" if host["standing"] == "good" else f", {host['standing'].upper()}: {host['cause']}"
    return f"{host['host']} ({host['agent']}: {services}{standing})"


def _agent_row(workload: dict[str, Any]) -> tuple[str, ...]:
    certificate, ports = workload["certificate"], workload["ports"] or {}
    proxy = "in sync" if workload["in_sync"] else "not in sync"
    restarts = f", {workload['envoy_restarts']} restarts" if workload["envoy_restarts"] else ""
    return (
        workload["service"],
        _ends(certificate["not_after"]) if certificate else "none yet",
        f"{proxy} (pid {workload['envoy']}{restarts})",
        str(ports.get("application", "")),
        ", ".join(ports.get("callees", {})) or "-",
    )


def _server_row(workload: dict[str, Any]) -> tuple[str, ...]:
    ends = workload["certificate_not_after"]
    return (
        workload["service"],
        _ends(ends) if ends else "none yet",
        f"{'in sync' if workload['in_sync'] else 'not in sync'} (host {workload['host']})",
        workload["mesh_address"].rpartition(":")[2],
        ", ".join(workload["calls"]) or "-",
    )


def _problems(status: dict[str, Any]) -> list[str]:
    lines = []
    agent = status["agent"] or {}
    lines += [agent[each] for each in ("state_problem", "clock_problem") if agent.get(each)]
    for workload in agent.get("workloads", []):
        if (workload["certificate"] or {}).get("overdue"):
            lines.append(f"{workload['service']}: its certificate should have been renewed by now")
        lines += [f"{workload['service']}: {workload['user_problem']}"] if workload["user_problem"] else []
        lines += [
            f"{workload['service']} has waited for {s['name']} for long" for s in workload["secrets"] if s["warming"]
        ]
        lines += [f"{workload['service']} waits for a file: {problem}" for problem in workload["missing"].values()]
        lines += [f"{workload['service']}: Envoy refused: {r['reason'].strip()}" for r in workload["rejections"]]
        lines += _refused(workload)
        of_acme = (workload.get("acme") or {}).get("problem")
        lines += [f"{workload['service']}: {of_acme}"] if of_acme else []
    for each in agent.get("deliveries", []):
        lines += [f"{each['id']} in {each['folder']}: {each['problem']}"] if each["problem"] else []
    lines += (status["server"] or {}).get("warnings", [])
    missing = (status["server"] or {}).get("not_reported", [])
    if missing:
        lines.append(f"no host runs {', '.join(missing)} yet")
    return lines


def _notes(agent: dict[str, Any]) -> list[str]:
    """What a host's rights did not reach to."""
    workloads = agent["workloads"]
    same = [each["service"] for each in workloads if each["user"] is None]
    notes = []
    if len(same) > 1:
        advice = "`user: auto` gives each its own" if os.geteuid() == 0 else "as root, each could have its own"
        notes.append(f"{len(same)} services of one user are one security domain ({advice})")
    # A gateway has no program.
    workloads = [each for each in workloads if each.get("role") not in ("ingress", "egress", "balancer")]
    ways = sorted({each["way"] for each in workloads})
    by_way = {way: [each for each in workloads if each["way"] == way] for way in ways}
    return [*notes, *(_note_of(way, there, of=len(workloads)) for way, there in by_way.items())]


def _note_of(way: str, workloads: list[dict[str, Any]], *, of: int) -> str:
    """What is true of the workloads whose calls reach the sidecar in one way."""
    whose = "" if len(workloads) == of else f" of {', '.join(each['service'] for each in workloads)}"
    text = f"calls{whose} go by {way}: "
    if way != _NAMESPACE:
        return text + "a program could call past it"
    as_root = [each["service"] for each in workloads if each["user"] is None]
    text += "there is no other way out"
    return text + (f" (root could make one: {', '.join(as_root)} should have a user of its own)" if as_root else "")


def _refused(workload: dict[str, Any]) -> list[str]:
    calls = workload["refused"]["calls"]
    if not calls:
        return []
    times, last = "once" if calls == 1 else f"{calls} times", workload["refused"]["last"]
    return [f"{workload['service']} called past its sidecar {times} and was refused, last to {last}"]


def _ends(text: str) -> str:
    left = (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
    if left <= 0:
        return "ENDED"
    return f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left"
