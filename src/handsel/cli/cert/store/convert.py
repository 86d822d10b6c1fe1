"""`handsel cert store convert`: the same entries in another format."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@click.option("--to", "kind", type=shared.FORMATS, required=True, help="The format.")
@shared.out
@click.option("--lossy", is_flag=True, help="Leave out what the format cannot hold.")
@shared.plain
@shared.password_options
@shared.new_password("as the store's")
@shared.force
@shared.dry_run
def command(
    file: Path, kind: str, out: Path, password_file: Path | None, key_password_file: Path | None,
    new_password_file: Path | None, *, lossy: bool, plain: bool, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Write the entries of a store of any format in another one. FILE stays as it is.

    What would be lost is said, and nothing is written then unless it may be: secret keys outside PKCS12, a key's own
    password in PKCS12, aliases and what is a trusted certificate in PEM.

    \b
    Examples:
      handsel cert store convert keystore.jks --to pkcs12 --out keystore.p12 --password-file password
      handsel cert store convert keystore.bcfks --to pem --plain --lossy --out keys.pem --password-file password
    """
    from handsel.pki.keystore import StoreKind
    from handsel.wiring.store_acts import convert, password_of_output
    from handsel.wiring.stores import Subject, Target

    ask = shared.ask()
    target = Target(out, StoreKind(kind), force, dry_run)
    password = password_of_output(target, new_password_file, ask, plain=plain)
    subject = Subject(file, password_file, key_password_file, ask)
    shared.tell(convert(subject, target, password, datetime.now(UTC), lossy=lossy), dry_run=dry_run)
