"""`handsel cert issue`: files of a service's identity on this host, kept new by its agent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.cert import snippets, wishes
from handsel.errors import ExitCode, UsageError


@click.command()
@click.argument("service")
@click.option("--out", "folder", type=click.Path(path_type=Path), required=True, help="The folder, which is made.")
@click.option("--name", default=None, help="What the delivery is called.  [default: as the folder]")
@wishes.options
@click.option("--snippet", type=click.Choice(snippets.LANGUAGES), help="Print a program that uses the files.")
@click.option(
    "--peer",
    default=None,
    metavar="SERVICE|SPIFFE-ID",
    help="Whom the snippet speaks with.  [default: all of the mesh]",
)
@click.option("--dry-run", is_flag=True, help="Only check and show it.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The agent's state folder."
)
@common.output_option
def command(
    service: str, folder: Path, name: str | None, snippet: str | None, peer: str | None, state: Path, output: str, *,
    dry_run: bool, **said: Any,
) -> None:  # fmt: skip
    """Keep key, certificate and roots of SERVICE as files, for a program that makes its own TLS.

    The agent of this host writes them now and at every rotation, all at once: --out is a link to a folder that is
    whole. They stay kept when the agent is started again, until `handsel cert withdraw`.
    Without a word about what is wanted, it is --pem.

    \b
    Examples:
      handsel cert issue web --out /etc/web/tls --owner web --reload-signal HUP --pid-file /run/web.pid
      handsel cert issue web --out /etc/nginx/web --reload-command "nginx -s reload"
      handsel cert issue web --out tls --jks --trust-store jks --alias web
      handsel cert issue web --out tls --snippet go > tls_files.go
    """
    from handsel.cli.local import call_agent

    options = _with_snippet(wishes.Options(**said), snippet)
    wish = wishes.wish(service, folder, name, options)
    done = call_agent(state.absolute(), "POST", "/v1/deliveries", {"wish": wish, "dry_run": dry_run})
    program = ""
    if snippet:
        whom = _identity(peer, done["identity"])
        files = wishes.contents(options)
        password = wish["delivery"].get("password_file", "")
        program = snippets.snippet(snippet, done["folder"], files, whom, password)
    show(done, output, dry_run=dry_run, beside=bool(snippet), more={"snippet": program} if snippet else {})
    if snippet and output == "table":
        click.echo(program, nl=False)
    if done["problem"]:
        raise SystemExit(ExitCode.FAILED)


def show(done: dict[str, Any], output: str, *, dry_run: bool, beside: bool, more: dict[str, Any]) -> None:
    """What the agent answered. `beside`: on standard error, since something else is printed."""
    content = {"apiVersion": "handsel/v1", "kind": "Delivery", "dry_run": dry_run, **done, **more}
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        verb = "would be kept" if dry_run else "is kept" if done["delivered"] else "will be kept"
        click.echo(f"{done['id']} {verb} in {done['folder']}: {', '.join(done['files'])}", err=beside)
        if done["problem"] and not dry_run:
            click.echo(f"! {done['problem']}", err=True)
            click.echo(f"  {done['next_step']}".rstrip(), err=True)


def _with_snippet(options: wishes.Options, language: str | None) -> wishes.Options:
    """What a snippet reads is delivered, beside what was asked for. Files that were named are taken as they are."""
    if language is None or options.named:
        return options
    if language != "java":
        return options if options.bundle else replace(options, pem=True)
    stores = options if options.jks else replace(options, pkcs12=True)
    if {"pkcs12", "jks"} & set(options.trust_store):
        return stores
    return replace(stores, trust_store=(*options.trust_store, "pkcs12" if stores.pkcs12 else "jks"))


def _identity(peer: str | None, own: str) -> str:
    """The SPIFFE ID of the other side; all of the own trust domain when nobody was named."""
    from handsel.pki.names import SpiffeId

    domain = SpiffeId.parse(own).trust_domain
    try:
        if peer is None:
            return f"spiffe://{domain}/"
        return str(SpiffeId.parse(peer) if "://" in peer else domain.workload("default", peer))
    except ValueError as error:
        raise UsageError(f"--peer: {error}") from error
