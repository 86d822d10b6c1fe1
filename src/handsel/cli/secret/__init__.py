"""`handsel secret`: passwords, key stores and other secrets, for the services that they are granted to."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "put": "A new secret, or a new version of one.",
    "get": "What is known of a secret; its value with --reveal or --out.",
    "list": "Every secret, without its value.",
    "grant": "A service gets a secret from now on.",
    "revoke": "A service does not get it any more.",
    "rotate": "A new version: given, or made here for passwords.",
    "history": "Its versions, and who had to do with it.",
    "delete": "A secret is gone, with every version.",
    "rotate-key": "Seal everything under a new key.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.secret")
def command() -> None:
    """Secrets: put and granted here, delivered to the services on their hosts, sealed at rest.

    A value is at most 1 MiB. It is read from a file, from standard input or at a prompt, never from the command line.
    NAME is a name, or GROUP/NAME: the secrets of a group are granted and delivered together.

    \b
    Examples:
      handsel secret put db-password --kind password --state /var/lib/handsel
      handsel secret grant db-password --to web --state /var/lib/handsel
      handsel secret rotate db-password --state /var/lib/handsel
    """
