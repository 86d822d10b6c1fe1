"""`handsel cert store password`: another password."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@shared.password_options
@shared.new_password("asked for")
@shared.dry_run
def command(
    file: Path, password_file: Path | None, key_password_file: Path | None, new_password_file: Path | None, *,
    dry_run: bool,
) -> None:  # fmt: skip
    """Give a store a new password. Keys that had the same one take it too; keys with their own keep it.

    \b
    Examples:
      handsel cert store password keystore.jks --password-file old --new-password-file new
    """
    from handsel.wiring.store_acts import change_password
    from handsel.wiring.stores import Subject

    subject = Subject(file, password_file, key_password_file, shared.ask())
    shared.tell(change_password(subject, new_password_file, datetime.now(UTC), dry_run=dry_run), dry_run=dry_run)
