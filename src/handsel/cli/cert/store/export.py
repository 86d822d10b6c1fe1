"""`handsel cert store export`: entries as PEM."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@click.option("--alias", "aliases", multiple=True, required=True, help="The entry. May be given again.")
@shared.out
@click.option("--key", "with_key", is_flag=True, help="The private key too, and not its certificates alone.")
@shared.plain
@shared.password_options
@shared.new_password("as the store's")
@shared.force
@shared.dry_run
def command(
    file: Path, aliases: tuple[str, ...], out: Path, password_file: Path | None, key_password_file: Path | None,
    new_password_file: Path | None, *, with_key: bool, plain: bool, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Write the certificates of entries as PEM, leaf first, and with --key their private keys.

    Keys keep the store's password, or get a new one, or none with --plain.

    \b
    Examples:
      handsel cert store export keystore.jks --alias shop --out shop.crt
      handsel cert store export keystore.jks --alias shop --key --plain --out shop.pem --password-file password
    """
    from handsel.errors import UsageError
    from handsel.pki.keystore import StoreKind
    from handsel.wiring.store_acts import export, password_of_output
    from handsel.wiring.stores import Subject, Target

    if not with_key and (plain or new_password_file):
        raise UsageError("certificates have no password", next_step="with --key the private key is written too")
    ask = shared.ask()
    target = Target(out, StoreKind.PEM, force, dry_run)
    password = password_of_output(target, new_password_file, ask, plain=plain)
    subject = Subject(file, password_file, key_password_file, ask)
    done = export(subject, aliases, target, password, datetime.now(UTC), with_key=with_key)
    shared.tell(done, dry_run=dry_run)
