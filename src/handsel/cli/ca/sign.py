"""`handsel ca sign`: a root away from its server signs an issuing CA."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True, help="The folder of `init --offline-root`.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), default=None, help="The file with the password of its key."
)
@click.option("--csr", type=click.Path(path_type=Path), required=True, help="The request, of `handsel ca request`.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file for the certificate, PEM.")
@click.option("--name", default="issuing", show_default=True, help="What the issuing CA is called.")
@click.option("--lifetime", default="365d", show_default=True, help="How long it lives, at most as long as the root.")
@click.option(
    "--permit", multiple=True, help="The only names it may sign for: dns:NAME, ip:NETWORK, uri:HOST, mail:HOST."
)
@click.option("--exclude", multiple=True, help="Names that it must not sign for, written in the same way.")
@click.option("--dry-run", is_flag=True, help="Look at everything, and write nothing.")
def command(
    root: Path, password_file: Path | None, csr: Path, out: Path, name: str, lifetime: str, permit: tuple[str, ...],
    exclude: tuple[str, ...], *, dry_run: bool,
) -> None:  # fmt: skip
    """Sign an issuing CA, where the root is. Of the request only the key counts: the rest is said here.

    \b
    Examples:
      handsel ca sign --root /media/stick/root --password-file root-password --csr issuing.csr --out issuing.crt
      handsel ca sign --root root --password-file p --csr partners.csr --out partners.crt --name partners \\
          --permit dns:partner.example --lifetime 180d
    """
    from handsel.cli.ca.files import read
    from handsel.errors import UsageError
    from handsel.model.durations import parse_duration
    from handsel.wiring.offline_root import Wish, sign_request

    try:
        wish = Wish(name, parse_duration(lifetime), permit, exclude)
    except ValueError as error:
        raise UsageError(f"--lifetime: {error}") from error
    made = sign_request(root.absolute(), password_file, read(csr), wish, out=None if dry_run else out.absolute())
    click.echo(f"{out}: {made.subject}, until {made.not_after:%Y-%m-%d}, sha256 {made.fingerprint}", err=True)
