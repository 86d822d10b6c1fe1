"""`handsel ca keys`: how the CA's keys are kept."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli.ca.place import find, place_options


@click.group()
def command() -> None:
    """How the CA's keys are kept.

    \b
    Examples:
      handsel ca keys encrypt --new-password-file password --state /var/lib/handsel
    """


@command.command()
@place_options
@click.option(
    "--new-password-file", type=click.Path(path_type=Path), required=True,
    help="The file with the password that encrypts them from now on: 12 characters or more.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say which keys would be encrypted, and change nothing.")
def encrypt(
    config: Path | None, state: Path | None, key_password_file: Path | None, new_password_file: Path, *, dry_run: bool
) -> None:
    """Encrypt the key files in place, or encrypt them with another password. The server must not run.

    \b
    Examples:
      handsel ca keys encrypt --new-password-file password --state /var/lib/handsel
      handsel ca keys encrypt --key-password-file old --new-password-file new --state /var/lib/handsel
    """
    from handsel.wiring import ca

    place = find(config, state, key_password_file)
    if dry_run:
        click.echo(f"would encrypt the keys in {place.server.authority}", err=True)
        return
    names = ca.encrypt(place, new_password_file)
    click.echo(f"encrypted {', '.join(names)}", err=True)
    click.echo(f"  start the server with --key-password-file {new_password_file}", err=True)
