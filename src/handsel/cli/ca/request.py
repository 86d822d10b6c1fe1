"""`handsel ca request`: a request for an issuing CA's certificate."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli.ca.place import find, place_options


@click.command()
@click.argument("name", default="issuing")
@place_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file for the request, PEM.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
def command(
    name: str, config: Path | None, state: Path | None, key_password_file: Path | None, out: Path, *, dry_run: bool
) -> None:
    """Make a key for the issuing CA NAME, and a request that the root signs elsewhere. The server must not run.

    \b
    Examples:
      handsel ca request issuing --state /var/lib/handsel --out issuing.csr
      handsel ca request partners -f handsel.yaml --out partners.csr
    """
    from handsel.wiring import ca

    place = find(config, state, key_password_file)
    if dry_run:
        click.echo(f"would make a key for {name} and write {out}", err=True)
        return
    ca.request(place, name, out.absolute())
    click.echo(f"{out}: sign it where the root is: handsel ca sign --root DIR --csr {out.name} --name {name}", err=True)
