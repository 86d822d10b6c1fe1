"""`handsel cert list`: search the directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from handsel.cli import common


@click.command()
@click.option("--serial", help="The serial number, in hex.")
@click.option("--name", help="One of its names; a * stands for any text.")
@click.option("--identity", help="Its SPIFFE ID, or its first name.")
@click.option("--fingerprint", help="The SHA-256 of the certificate, in hex.")
@click.option("--profile", help="Its profile.")
@click.option("--issuer", help="The CA that signed it.")
@click.option("--standing", type=click.Choice(["valid", "expired", "revoked"]), help="How it stands now.")
@click.option("--expires-within", metavar="TIME", help="Valid now, and ends within this time, such as 7d.")
@click.option("--issued-within", metavar="TIME", help="Issued within this time, such as 1h.")
@click.option("--after", help="Go on after this serial number, the last one of the answer before.")
@click.option("--most", default=100, show_default=True, help="At most so many, up to 1000.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
@common.output_option
def command(state: Path, output: str, expires_within: str | None, issued_within: str | None, **wanted: Any) -> None:
    """Search what the authority has issued.

    \b
    Examples:
      handsel cert list --name "*.shop.internal" --standing valid --state /var/lib/handsel
      handsel cert list --expires-within 7d --state /var/lib/handsel
      handsel cert list --serial 4f:3a:… -o json --state /var/lib/handsel
    """
    from handsel.cli.local import call_server

    query = {name: value for name, value in wanted.items() if value is not None and name != "standing"}
    if wanted["standing"]:
        query["state"] = wanted["standing"]
    for name, text in (("expires_within", expires_within), ("issued_within", issued_within)):
        if text is not None:
            query[name] = common.seconds(text, f"--{name.replace('_', '-')}")
    found = call_server(state.absolute(), "GET", f"/v1/certificates?{urlencode(query)}")
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "CertificateList", "certificates": found}, indent=2))
    elif output == "yaml":
        common.print_yaml({"kind": "CertificateList", "certificates": found})
    else:
        rows = [
            (c["serial"], c["state"], c["profile"], c["not_after"][:16].replace("T", " "), ", ".join(c["names"]))
            for c in found
        ]
        common.print_table(("SERIAL", "STATE", "PROFILE", "ENDS (UTC)", "NAMES"), rows)
