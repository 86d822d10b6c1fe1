"""`handsel ca next-root`: the root that follows, where the root is."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True, help="The folder of `init --offline-root`.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None, help="The file with the password of its keys."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file for the server, PEM.")
def command(root: Path, password_file: Path | None, out: Path) -> None:
    """Make the next root, by the key that was announced for it, and the key of the one after it.

    The file for the server has no private key: the root, the same signed by the root before, and the public key of the
    root after. From then on `handsel ca sign` signs with the new root.

    \b
    Examples:
      handsel ca next-root --root /media/stick/root --password-file root-password --out next-root.pem
      handsel ca install next-root.pem --name root --state /var/lib/handsel && handsel ca rotate root
    """
    from handsel.wiring.offline_root import next_root

    made = next_root(root.absolute(), password_file, out.absolute())
    click.echo(f"{out}: {made.subject}, until {made.not_after:%Y-%m-%d}, sha256 {made.fingerprint}", err=True)
