"""`handsel secret get`: what is known of a secret, and its value when it is asked for."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared
from handsel.errors import UsageError


@click.command()
@click.argument("name")
@click.option("--version", type=int, default=None, help="Which version. The newest when left out.")
@click.option(
    "--out", type=click.Path(path_type=Path, allow_dash=True), default=None,
    help="Write the value into this file, 0600, or with - to standard output, unless that is a terminal.",
)  # fmt: skip
@click.option("--reveal", is_flag=True, help="Print the value, also to a terminal.")
@shared.state_option
@common.output_option
def command(name: str, version: int | None, out: Path | None, state: Path, output: str, *, reveal: bool) -> None:
    """Show what is known of a secret. Its value needs --out or --reveal and an administrator, and it is written down.

    With --reveal and -o json or yaml, `content` is the value as base64.

    \b
    Examples:
      handsel secret get db-password --state /var/lib/handsel
      handsel secret get orders/store.p12 --out store.p12 --state /var/lib/handsel
      handsel secret get db-password --reveal --state /var/lib/handsel
    """
    if out is not None and reveal:
        raise UsageError("--out and --reveal: it is one or the other")
    if str(out) == "-" and sys.stdout.isatty():
        raise UsageError("the value is not written to a terminal", next_step="--reveal does it")
    if out is None and not reveal:
        which = {"name": name} | ({"version": str(version)} if version is not None else {})
        shared.show("Secret", shared.ask(state, "GET", f"/facts?{shared.query(**which)}"), output, _facts)
        return
    found = shared.ask(state, "POST", "/read", {"name": name, "version": version})
    value = base64.b64decode(found["content"])
    if out is None and output != "table":
        shared.show("Secret", found, output, _facts)
    elif out is None or str(out) == "-":
        sys.stdout.buffer.write(value)
        if sys.stdout.isatty():
            click.echo("")
    else:
        _write(out, value)
        click.echo(f"{found['name']} version {found['version']} is in {out}", err=True)


def _facts(found: dict[str, Any]) -> None:
    granted = ", ".join(f"{to} (by {by})" for to, by in found["granted"].items()) or "nobody"
    rows = [
        ("name", found["name"]), ("kind", found["secret_kind"]), ("version", str(found["version"])),
        ("size", f"{found['size']} bytes"), ("is", found["facts"]), ("expires", found["expires"] or "never"),
        ("warning", found["warning"]), ("granted to", granted), ("put", f"{found['put_at'][:19]} by {found['put_by']}"),
        ("labels", ", ".join(f"{key}={value}" for key, value in found["labels"].items())),
    ]  # fmt: skip
    for key, value in rows:
        if value:
            click.echo(f"{key:<12}{value}")


def _write(path: Path, value: bytes) -> None:
    """A new file, 0600; one that is there is replaced, whole. Raises `UsageError`."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
        temporary.rename(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
