"""`handsel cert store create`: a new store from PEM files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from handsel.cli.cert.store import shared


@click.command()
@click.argument("file", type=shared.PATH)
@click.option("--key", type=shared.PATH, default=None, help="A private key, PEM; its chain may lie in the same file.")
@click.option("--chain", type=shared.PATH, default=None, help="The key's certificates, PEM, in any order.")
@click.option("--trust", type=shared.PATH, multiple=True, help="Certificates to believe, PEM. May be given again.")
@click.option("--type", "kind", type=shared.FORMATS, default="pkcs12", show_default=True, help="The format.")
@click.option("--alias", default="", show_default="its certificate's name", help="What the key is called.")
@click.option(
    "--password-file", type=shared.PATH, default=None, show_default="$HANDSEL_STORE_PASSWORD, else asked for",
    help="The file with the new store's password.",
)  # fmt: skip
@click.option("--key-password-file", type=shared.PATH, default=None, help="The file with the password of --key.")
@shared.force
@shared.dry_run
def command(
    file: Path, key: Path | None, chain: Path | None, trust: tuple[Path, ...], kind: str, alias: str,
    password_file: Path | None, key_password_file: Path | None, *, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Make a new store from PEM files: a key with its chain, certificates to believe, or both.

    \b
    Examples:
      handsel cert store create shop.p12 --key shop.key --chain shop.crt --trust root.pem --password-file password
      handsel cert store create truststore.jks --type jks --trust root.pem --password-file password
    """
    from handsel.pki.keystore import StoreKind
    from handsel.wiring.store_acts import Pieces, create
    from handsel.wiring.stores import Target

    target = Target(file, StoreKind(kind), force, dry_run)
    pieces = Pieces(key, chain, trust, alias, key_password_file)
    shared.tell(create(target, pieces, password_file, shared.ask(), datetime.now(UTC)), dry_run=dry_run)
