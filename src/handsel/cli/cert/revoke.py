"""`handsel cert revoke`: a certificate is not to be believed any more."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.cli import common
from handsel.errors import UsageError

_REASONS = [
    "unspecified", "key-compromise", "ca-compromise", "affiliation-changed", "superseded", "cessation-of-operation",
    "privilege-withdrawn", "aa-compromise",
]  # fmt: skip


@click.command()
@click.argument("certificate", metavar="SERIAL|FILE")
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True, help="Why.")
@click.option("--dry-run", is_flag=True, help="Only show which certificate it would be.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@common.output_option
def command(certificate: str, reason: str, state: Path, output: str, *, dry_run: bool) -> None:
    """Revoke a certificate, by its serial number in hex or by its file. It cannot be undone.

    OCSP says so at once, the agents hear of it at once; published lists follow on their schedule
    (`handsel ca crl build` does not wait for it).

    \b
    Examples:
      handsel cert revoke 4f:3a:… --reason key-compromise --state /var/lib/handsel
      handsel cert revoke shop.crt --reason superseded --dry-run --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    wish = {"serial": _serial(certificate), "reason": reason, "dry_run": dry_run}
    done = call_server(state.absolute(), "POST", "/v1/certificates/revoke", wish)
    content = {"kind": "Revocation", "dry_run": dry_run, **done}
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", **content}, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        verb = "would be revoked" if dry_run else "is revoked"
        click.echo(f"{done['serial']} ({', '.join(done['names'])}) {verb}: {done['reason']}")


def _serial(text: str) -> str:
    """The serial number that was written, or that of the first certificate in a file. Raises `UsageError`."""
    from handsel.pki.certificate import Certificate, parse_pem

    path = Path(text)
    if not path.is_file():
        if not text.replace(":", "").isalnum():
            raise UsageError(f"{text!r} is neither a file nor a serial number in hex")
        return text
    try:
        content = path.read_bytes()
        return (parse_pem(content)[0] if b"-----BEGIN" in content else Certificate(content)).serial
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} holds no certificate: {error}") from error
