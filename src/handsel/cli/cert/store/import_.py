"""`handsel cert store import`: entries of another store go into this one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@click.option("--from", "other", type=shared.PATH, required=True, help="The store, of any format, or a PEM file.")
@click.option("--alias", "aliases", multiple=True, metavar="ALIAS[=NEW]", show_default="all of them",
              help="An entry of it, and what it is called here. May be given again.")  # fmt: skip
@shared.password_options
@click.option("--from-password-file", type=shared.PATH, default=None, show_default="as --password-file",
              help="The file with the password of the store --from.")  # fmt: skip
@click.option("--from-key-password-file", type=shared.PATH, default=None, show_default="as that store's",
              help="The file with the password of its keys.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace entries of the same name.")
@shared.dry_run
def command(
    file: Path, other: Path, aliases: tuple[str, ...], password_file: Path | None, key_password_file: Path | None,
    from_password_file: Path | None, from_key_password_file: Path | None, *, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Take entries of another store into a store that is there. Keys get this store's password.

    \b
    Examples:
      handsel cert store import keystore.jks --from shop.p12 --password-file p --from-password-file q
      handsel cert store import truststore.p12 --from roots.pem --password-file p
      handsel cert store import keystore.jks --from old.jks --alias tomcat=shop --password-file p
    """
    from handsel.wiring.store_acts import take_in
    from handsel.wiring.stores import Subject

    ask = shared.ask()
    subject = Subject(file, password_file, key_password_file, ask)
    theirs = Subject(other, from_password_file or password_file, from_key_password_file, ask, "--from-password-file")
    shared.tell(take_in(subject, theirs, aliases, datetime.now(UTC), force=force, dry_run=dry_run), dry_run=dry_run)
