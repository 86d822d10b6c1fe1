"""`handsel mesh plaintext`: who still calls without TLS."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common


@click.command()
@click.argument("service", default="")
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@common.output_option
def command(service: str, config: Path, state: Path | None, output: str, *, demo: bool) -> None:
    """Show who calls the services of this host without TLS: from where, at which port, how often, when last.

    For every service that takes plaintext (`permissive` or `disable`) it says whether anybody still needs that. It
    reads the access logs of this host's proxies, the newest ones and those before: ask on each host of a service.
    REFUSED counts plaintext that came to a port which takes none.

    \b
    Examples:
      handsel mesh plaintext
      handsel mesh plaintext emoji -o json
    """
    from handsel.cli.local import call_agent
    from handsel.errors import UsageError
    from handsel.telemetry.plaintext import HEAD, rows, to_json, verdict
    from handsel.wiring.mesh_files import load_mesh
    from handsel.wiring.plaintext import heard_on_this_host, modes_of

    mesh = load_mesh(common.demo_file() if demo else config)
    folder = state.absolute() if state else common.state_of(None, str(mesh.trust_domain))
    workloads = call_agent(folder, "GET", "/v1/status")["workloads"]
    chosen = [each for each in workloads if service in ("", each["service"])]
    if service and not chosen:
        known = ", ".join(sorted(each["service"] for each in workloads)) or "none"
        raise UsageError(f"{service!r} does not run on this host", next_step=f"here: {known}")
    heard = heard_on_this_host(chosen)
    modes = {each.service: modes_of(mesh, each.service) for each in heard}
    if output == "table":
        common.print_table(HEAD, rows(heard))
        for each in heard:
            if service or each.count or set(modes[each.service]) - {"strict"}:
                click.echo(verdict(each, modes[each.service]))
        return
    services = [to_json(each, modes[each.service]) for each in heard]
    content = {"apiVersion": "handsel/v1", "kind": "Plaintext", "services": services}
    if output == "yaml":
        common.print_yaml(content)
    else:
        click.echo(json.dumps(content, indent=2))
