"""`handsel ca install`: a certificate that the root signed elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli.ca.place import find, place_options


@click.command()
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--name", default="issuing", show_default=True, help="The issuing CA that it is for, or root.")
@place_options
def command(
    certificate: Path, name: str, config: Path | None, state: Path | None, key_password_file: Path | None
) -> None:
    """Take up the certificate that answers `handsel ca request`, or the next root.

    A running server uses it from `handsel ca rotate` on, or when it starts if the CA is a new one.

    \b
    Examples:
      handsel ca install issuing.crt --state /var/lib/handsel
      handsel ca install partners.crt --name partners -f handsel.yaml
      handsel ca install next-root.pem --name root --state /var/lib/handsel
    """
    from handsel.cli.ca.files import read
    from handsel.wiring import ca

    made = ca.install(find(config, state, key_password_file), name, read(certificate))
    click.echo(f"{name} is {made.subject}, until {made.not_after:%Y-%m-%d}", err=True)
