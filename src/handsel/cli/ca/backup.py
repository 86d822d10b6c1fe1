"""`handsel ca backup`: a copy of the state, while the server runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@click.option("--with-keys", is_flag=True, help="The authority's keys too, encrypted with a password.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None, help="The file with the password for the keys."
)
def command(file: Path, state: Path, password_file: Path | None, *, with_keys: bool) -> None:
    """Write a consistent copy of the state into FILE. The server may run meanwhile.

    Without --with-keys the keys must be kept in another way: a state without them can sign nothing.
    A state in PostgreSQL is copied by `pg_dump --format=custom`; here only the keys beside it are then written.

    \b
    Examples:
      handsel ca backup --state /var/lib/handsel monday.backup
      handsel ca backup --state /var/lib/handsel --with-keys --password-file password monday.backup
    """
    from handsel.errors import UsageError
    from handsel.wiring import backup

    if with_keys != (password_file is not None):
        raise UsageError("--with-keys and --password-file belong together")
    manifest = backup.save(state.absolute(), file.absolute(), password_file)
    held = [
        *(["the database"] if manifest.has_database else []),
        *(["the keys, encrypted"] if manifest.has_keys else []),
    ]
    click.echo(f"{file} has {' and '.join(held)}", err=True)
    if not manifest.has_keys:
        click.echo(f"  the keys are not in it: keep {state / 'server' / 'authority'} too", err=True)
    if backup.keys_are_elsewhere(state):
        click.echo("  the CAs' own keys are not in files: back up their token in its own way", err=True)
