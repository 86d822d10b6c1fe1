"""`handsel ca rotate`: a CA or the root gets a new key, and no request fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.errors import ExitCode

_state = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
_name = click.argument("name", default="issuing")
_reason = click.option("--reason", required=True, help="Why; it is kept in the journal.")


@click.group()
def command() -> None:
    """Replace an issuing CA or the root by one with a new key, while everything runs.

    \b
    Examples:
      handsel ca rotate issuing --state /var/lib/handsel
      handsel ca rotate root --dry-run --state /var/lib/handsel
      handsel ca rotate status --state /var/lib/handsel
    """


def _ask(state: Path, verb: str, **wish: Any) -> Any:
    from handsel.cli.local import call_server

    return call_server(state.absolute(), "POST", f"/v1/rotations/{verb}", wish)


def _print(found: dict[str, Any]) -> None:
    states = ", ".join(f"{each['keyId'][:16]} {each['state']}" for each in found["authorities"])
    click.echo(f"{found['name']}: {states}", err=True)
    for each in found["heldUpBy"]:
        click.echo(f"  waits: {each}", err=True)


_dry_run = click.option("--dry-run", is_flag=True, help="Name the holders that would be waited for; begin nothing.")
_rehearse = click.option("--rehearse", is_flag=True, help="Play it with keys that are thrown away; begin nothing.")


@command.command()
@_name
@_state
@_dry_run
@_rehearse
def issuing(name: str, state: Path, *, dry_run: bool, rehearse: bool) -> None:
    """Begin the rotation of the issuing CA NAME. It goes on by itself: see `status`.

    \b
    Examples:
      handsel ca rotate issuing --state /var/lib/handsel
      handsel ca rotate issuing partners --dry-run --state /var/lib/handsel
    """
    _begin(name, state, dry_run=dry_run, rehearse=rehearse)


@command.command()
@_state
@_dry_run
@_rehearse
def root(state: Path, *, dry_run: bool, rehearse: bool) -> None:
    """Begin the rotation of the root. Every issuing CA follows by itself, and the old root goes last: see `status`.

    The new root has the key that tickets pin already, and is signed by the old one too. Where the root's key is
    elsewhere, install the next root first: `handsel ca next-root` makes it.

    \b
    Examples:
      handsel ca rotate root --rehearse --state /var/lib/handsel
      handsel ca rotate root --state /var/lib/handsel
    """
    _begin("root", state, dry_run=dry_run, rehearse=rehearse)


def _begin(name: str, state: Path, *, dry_run: bool, rehearse: bool) -> None:
    found = _ask(state, "rehearse", name=name) if rehearse else _ask(state, "begin", name=name, dry_run=dry_run)
    if not dry_run and not rehearse:
        _print(found)
        return
    scenes = found.get("scenes", [])
    for scene in scenes:
        click.echo(f"fails: {scene['what']}: {scene['problem']}" if scene["problem"] else f"ok: {scene['what']}")
    for holder in found["waiting"]:
        click.echo(f"{holder} would be waited for")
    click.echo(f"{len(found['waiting'])} holders of {name} would be waited for", err=True)
    if any(scene["problem"] for scene in scenes):
        raise SystemExit(ExitCode.FAILED)


@command.command()
@_state
@common.output_option
def status(state: Path, output: str) -> None:
    """How rotations stand, and what holds them up.

    \b
    Examples:
      handsel ca rotate status --state /var/lib/handsel
      handsel ca rotate status --state /var/lib/handsel -o json
    """
    from handsel.cli.local import call_server

    found = call_server(state.absolute(), "GET", "/v1/rotations")
    document = {"apiVersion": "handsel/v1", "kind": "Rotations", "rotations": found}
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    elif output == "yaml":
        common.print_yaml(document)
    else:
        rows = [
            (each["name"], ca["state"], ca["keyId"][:16], ca["since"][:19], ca["notAfter"][:10])
            for each in found
            for ca in each["authorities"]
        ]
        common.print_table(("CA", "STATE", "KEY ID", "SINCE", "ENDS"), rows)
        for each in found:
            for reason in each["heldUpBy"]:
                click.echo(f"{each['name']} waits: {reason}")


@command.command()
@_name
@_state
def pause(name: str, state: Path) -> None:
    """Take no further step.

    \b
    Examples:
      handsel ca rotate pause issuing --state /var/lib/handsel
    """
    _print(_ask(state, "pause", name=name))


@command.command()
@_name
@_state
def resume(name: str, state: Path) -> None:
    """Go on.

    \b
    Examples:
      handsel ca rotate resume issuing --state /var/lib/handsel
    """
    _print(_ask(state, "resume", name=name))


@command.command()
@_name
@_state
def undo(name: str, state: Path) -> None:
    """Back: the CA before signs again, if it is still believed. Then everything rests until `resume`.

    \b
    Examples:
      handsel ca rotate undo issuing --state /var/lib/handsel
    """
    _print(_ask(state, "undo", name=name))


@command.command()
@_name
@_state
@_reason
def override(name: str, state: Path, reason: str) -> None:
    """Go on without the holders that do not answer. Their names and the reason are kept in the journal.

    \b
    Examples:
      handsel ca rotate override issuing --reason "host b is gone for good" --state /var/lib/handsel
    """
    _print(_ask(state, "override", name=name, reason=reason))


@command.command()
@_name
@_state
@_reason
def taint(name: str, state: Path, reason: str) -> None:
    """The key of the CA that retires was stolen: drop it without waiting for its certificates to end.

    \b
    Examples:
      handsel ca rotate taint issuing --reason "the disk was copied" --state /var/lib/handsel
    """
    _print(_ask(state, "taint", name=name, reason=reason))
