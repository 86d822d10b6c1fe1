"""`handsel ca restore`: a state from a backup."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE",
    help="The state folder to make. It may not hold a state.",
)  # fmt: skip
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None,
    help="The file with the password of the keys. Without it only the database is restored.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check the backup, write nothing.")
def command(file: Path, state: Path, password_file: Path | None, *, dry_run: bool) -> None:
    """Make a state from FILE, once all of it was checked, the journal line by line.

    What was issued or revoked after the backup was made is not known to the restored authority.

    \b
    Examples:
      handsel ca restore --state /tmp/check --dry-run monday.backup
      handsel ca restore --state /var/lib/handsel --password-file password monday.backup
    """
    from handsel.wiring import backup

    restored = backup.restore(file.absolute(), state.absolute(), password_file, dry_run=dry_run)
    word = "would restore" if dry_run else "restored"
    click.echo(
        f"{word} {state} as of {restored.made[:19]} UTC: {restored.lines} lines of the journal, all of them whole; "
        f"{restored.keys or 'no'} files of keys",
        err=True,
    )
    if not restored.keys:
        click.echo(f"  put the keys into {state / 'server' / 'authority'} before the server starts", err=True)
