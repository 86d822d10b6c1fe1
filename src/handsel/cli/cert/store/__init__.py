"""`handsel cert store`: key stores as files."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "list": "What is in a key store, and what is wrong with it.",
    "create": "A new store from PEM files.",
    "import": "Entries of another store go into this one.",
    "export": "Certificates, or keys with them, as PEM.",
    "convert": "The same entries in another format.",
    "alias": "Entries get other names, or go.",
    "password": "Another password.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.cert.store")
def command() -> None:
    """Key stores: JKS, PKCS12 and PEM are read and written, JCEKS and BCFKS are read. A file's name does not matter.

    Passwords come from a file (--password-file), from HANDSEL_STORE_PASSWORD, or are asked for at a terminal.

    \b
    Examples:
      handsel cert store list keystore.jks
      handsel cert store convert keystore.jks --password-file p --to pkcs12 --out keystore.p12
      handsel cert store export keystore.p12 --password-file p --alias shop --key --out shop.pem
    """
