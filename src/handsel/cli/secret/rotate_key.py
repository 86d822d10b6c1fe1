"""`handsel secret rotate-key`: seal everything under a new key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.secret import shared


@click.command()
@shared.state_option
@common.output_option
def command(state: Path, output: str) -> None:
    """Wrap the keys of all secrets anew under a new key-encryption key; the old one is destroyed at the end.

    The key is in the systemd credential handsel-secrets-key when there is one, else in the token that the mesh file
    names for the CA's keys, else in a file beside them. For a new credential, keep the old one as
    handsel-secrets-key-old until this is done. When it was broken off, call it again: it goes on. Several servers of
    one database must all have the key: in a token, as a credential, or as a copy of the file.

    \b
    Examples:
      handsel secret rotate-key --state /var/lib/handsel
      handsel secret rotate-key -o json --state /var/lib/handsel
    """
    shared.show("SecretsKey", shared.ask(state, "POST", "/rotate-key", {}), output, _table)


def _table(found: dict[str, Any]) -> None:
    gone = f"; destroyed: {', '.join(found['forgotten'])}" if found["forgotten"] else ""
    click.echo(f"the key is {found['key']} ({found['place']}); {found['rewrapped']} versions wrapped anew{gone}")
