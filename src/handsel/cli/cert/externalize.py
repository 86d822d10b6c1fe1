"""`handsel cert externalize`: key stores in a folder outside of an application, on a Mule runtime's class path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.cert import wishes
from handsel.errors import ExitCode


@click.command()
@click.argument("service")
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="The folder, which is made.")
@click.option(
    "--wrapper-conf", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
    help="The runtime's conf/wrapper.conf.",
)  # fmt: skip
@click.option("--name", default=None, help="What the delivery is called.  [default: as the folder]")
@wishes.options
@click.option("--undo", is_flag=True, help="Take the line out again, then the files.")
@click.option("--dry-run", is_flag=True, help="Only show what would change, as a diff.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The agent's state folder."
)
@common.output_option
def command(
    service: str, folder: Path, wrapper_conf: Path, name: str | None, state: Path, output: str, *, undo: bool,
    dry_run: bool, **said: Any,
) -> None:  # fmt: skip
    """Keep the key stores of SERVICE in a folder outside of an application, for a Mule runtime.

    The folder is written first, as by `handsel cert issue`; then it gets a line of the class path in wrapper.conf,
    which the runtime reads when it is started the next time. An application finds `path="keystore.jks"` there, unless
    there is one inside of it. --undo goes the other way round, and leaves wrapper.conf as it was.

    \b
    Examples:
      handsel cert externalize orders --folder /opt/app-certs --jks --trust-store jks --wrapper-conf conf/wrapper.conf
      handsel cert externalize orders --folder /opt/app-certs --wrapper-conf conf/wrapper.conf --dry-run
      handsel cert externalize orders --folder /opt/app-certs --wrapper-conf conf/wrapper.conf --undo
    """
    from handsel.wiring.wrapper_conf import with_folder, without_folder

    change = without_folder(wrapper_conf, folder) if undo else with_folder(wrapper_conf, folder)
    if undo:
        if not dry_run:
            change.make()  # the line first: nobody looks for files that are not there
        done = _withdraw(state, folder, dry_run=dry_run)
    else:
        done = _issue(state, wishes.wish(service, folder, name, _usual(wishes.Options(**said))), dry_run=dry_run)
        if not dry_run and not done["problem"]:
            change.make()
    content = {
        "apiVersion": "handsel/v1", "kind": "Externalization", "dry_run": dry_run, "undo": undo,
        "folder": str(folder.absolute()), "delivery": done, "wrapper_conf": str(wrapper_conf),
        "changed": change.is_one and not dry_run and not done.get("problem"), "diff": change.diff(),
        "notes": change.notes,
    }  # fmt: skip
    _show(content, output)
    if done.get("problem"):
        raise SystemExit(ExitCode.FAILED)


def _usual(said: wishes.Options) -> wishes.Options:
    """JKS, when nobody said what: it is what such applications name."""
    from dataclasses import replace

    if said.pem or said.bundle or said.pkcs12 or said.jks or said.trust_store or said.named:
        return said
    return replace(said, jks=True, trust_store=("jks",))


def _issue(state: Path, wish: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    from handsel.cli.local import call_agent

    done: dict[str, Any] = call_agent(state.absolute(), "POST", "/v1/deliveries", {"wish": wish, "dry_run": dry_run})
    return done


def _withdraw(state: Path, folder: Path, *, dry_run: bool) -> dict[str, Any]:
    """Ask for it, unless it is gone already: undone twice is undone."""
    from handsel.cli.cert.withdraw import withdraw
    from handsel.cli.local import call_agent

    there = call_agent(state.absolute(), "GET", "/v1/deliveries")
    if not any(each["folder"] == str(folder.absolute()) and each["asked_for"] == "here" for each in there):
        return {"folder": str(folder.absolute()), "removed": True}
    return withdraw(state, str(folder.absolute()), dry_run=dry_run)


def _show(content: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(content, indent=2))
        return
    if output == "yaml":
        common.print_yaml({**content, "notes": list(content["notes"])})
        return
    done, would = content["delivery"], "would be" if content["dry_run"] else "is"
    if done.get("problem"):
        click.echo(f"! {done['problem']}\n  {content['wrapper_conf']} is as it was", err=True)
        return
    what = "removed" if content["undo"] else f"kept: {', '.join(done['files'])}"
    click.echo(f"{content['folder']} {would} {what}")
    click.echo(content["diff"] or f"{content['wrapper_conf']} {would} as it was\n", nl=False)
    for note in content["notes"]:
        click.echo(f"note: {note}")
