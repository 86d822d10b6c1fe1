"""`handsel cert store alias`: entries get other names, or go."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Another name for an entry. May be given again.")
@click.option("--remove", multiple=True, metavar="ALIAS", help="Take an entry out. May be given again.")
@shared.password_options
@shared.dry_run
def command(
    file: Path, rename: tuple[str, ...], remove: tuple[str, ...], password_file: Path | None,
    key_password_file: Path | None, *, dry_run: bool,
) -> None:  # fmt: skip
    """Give entries of a store other names, or take them out.

    \b
    Examples:
      handsel cert store alias keystore.jks --rename mykey=shop --password-file password
      handsel cert store alias truststore.p12 --remove old-root --password-file password --dry-run
    """
    from handsel.wiring.store_acts import change_aliases
    from handsel.wiring.stores import Subject

    subject = Subject(file, password_file, key_password_file, shared.ask())
    shared.tell(change_aliases(subject, rename, remove, datetime.now(UTC), dry_run=dry_run), dry_run=dry_run)
