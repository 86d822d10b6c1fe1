"""`handsel secret put`: a new secret, or a new version of one."""

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
@click.option("--kind", type=click.Choice(shared.KINDS), default=None, help="What it must be. Opaque when it is new.")
@click.option("--group", default=None, help="The group that it is of: the same as GROUP/NAME.")
@click.option("--expires", default=None, metavar="DURATION", help="How long it is delivered, as 90d.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="For people. May be said several times.")
@click.option("--keep", type=int, default=None, help="How many versions are kept: 10 when it is not said.")
@click.option("--generate", is_flag=True, help="Let the server make a password.")
@click.option("--length", type=int, default=None, help="The characters of that password: 32 when it is not said.")
@click.option("--password-secret", default=None, metavar="NAME", help="The secret with the password of a store.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None, help="The file with the password of a store."
)
@click.option(
    "--with", "others", multiple=True, metavar="KIND:NAME=FILE",
    help="Another secret of the group, put in the same step. May be said several times.",
)  # fmt: skip
@shared.dry_run_option
@shared.state_option
@common.output_option
def command(name: str, state: Path, output: str, *, dry_run: bool, **said: Any) -> None:
    """Put a secret. It is checked by its kind, sealed, and delivered to the services that it is granted to.

    A key store or trust store must open (with --password-secret or --password-file), a certificate or CRL must be one,
    a password is one line, and a context is the name of a TLS context of the mesh file whose parts are in the group.
    A certificate is delivered no longer than it lives.

    \b
    Examples:
      handsel secret put db-password --kind password --generate --state /var/lib/handsel
      handsel secret put orders/store.p12 --kind key-store --file store.p12 --with password:password=pw.txt \\
        --password-secret orders/password --state /var/lib/handsel
    """
    first = _first(shared.full_name(name, said["group"]), said)
    wishes = [first, *(_other(text, first["name"]) for text in said["others"])]
    done = shared.ask(state, "POST", "/put", {"secrets": wishes, "dry_run": dry_run})
    shared.show("SecretVersions", done, output, shared.print_versions("would be put" if dry_run else "is put"))


def _first(name: str, said: dict[str, Any]) -> dict[str, Any]:
    if said["generate"] and said["file"]:
        raise UsageError("--generate and --file: it is one or the other")
    if said["password_secret"] and said["password_file"]:
        raise UsageError("--password-secret and --password-file: it is one or the other")
    wish: dict[str, Any] = {"name": name, "kind": said["kind"], "keep": said["keep"], "length": said["length"]}
    if not said["generate"]:
        value = shared.read_value(said["file"], f"The value of {name}")
        wish["content"] = shared.encoded(shared.one_line(value) if said["kind"] == "password" else value)
    if said["expires"]:
        wish["expires_seconds"] = common.seconds(said["expires"], "--expires")
    if said["labels"]:
        wish["labels"] = list(said["labels"])
    if said["password_secret"]:
        wish["password_secret"] = said["password_secret"]
    if said["password_file"]:
        wish["password"] = shared.encoded(shared.read_password(said["password_file"]))
    return wish


def _other(text: str, first: str) -> dict[str, Any]:
    """Another secret of the same group. Raises `UsageError`."""
    kind, colon, rest = text.partition(":")
    name, equals, path = rest.partition("=")
    group, slash, _ = first.partition("/")
    if not (colon and equals and kind in shared.KINDS and name and path):
        raise UsageError(f"--with {text}: write it as KIND:NAME=FILE", next_step="as --with password:password=pw.txt")
    if not slash:
        raise UsageError(f"{first} is of no group: --with puts others of its group")
    value = shared.read_value(Path(path), None)
    content = shared.encoded(shared.one_line(value) if kind == "password" else value)
    return {"name": name if "/" in name else f"{group}/{name}", "kind": kind, "content": content}
