"""`handsel secret rotate`: a new version of a secret that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared
from handsel.errors import UsageError


@click.command()
@click.argument("name")
@shared.file_option
@click.option("--length", type=int, default=None, help="The characters of a password that is made: 32 if left out.")
@click.option("--expires", default=None, metavar="DURATION", help="How long it is delivered, as 90d.")
@click.option("--password-secret", default=None, metavar="NAME", help="The secret with the password of a store.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None, help="The file with the password of a store."
)
@shared.dry_run_option
@shared.state_option
@common.output_option
def command(
    name: str, file: Path | None, length: int | None, expires: str | None, password_secret: str | None,
    password_file: Path | None, state: Path, output: str, *, dry_run: bool,
) -> None:  # fmt: skip
    """Give a secret a new version: from a file, or for a password one that the server makes and nobody sees.

    \b
    Examples:
      handsel secret rotate db-password --length 40 --state /var/lib/handsel
      handsel secret rotate orders/store.p12 --file store.p12 --password-secret orders/password --state /var/lib/handsel
    """
    if file is not None and length is not None:
        raise UsageError("--length is for a password that is made: leave --file out")
    wish: dict[str, Any] = {"name": name, "length": length}
    if file is not None:
        value = shared.read_value(file, None)
        kind = shared.ask(state, "GET", f"/facts?{shared.query(name=name)}")["secret_kind"]
        wish["content"] = shared.encoded(shared.one_line(value) if kind == "password" else value)
    if expires:
        wish["expires_seconds"] = common.seconds(expires, "--expires")
    if password_secret:
        wish["password_secret"] = password_secret
    if password_file:
        wish["password"] = shared.encoded(shared.read_password(password_file))
    done = shared.ask(state, "POST", "/put", {"secrets": [wish], "dry_run": dry_run, "must_exist": True})
    shared.show("SecretVersions", done, output, shared.print_versions("would be put" if dry_run else "is put"))
