"""`handsel ca`: the private certificate authority."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "acme": "Accounts of ACME clients, and the keys that open them.",
    "admin": "Who administers this authority, and with which role.",
    "journal": "What happened, and whether that can be believed.",
    "policy": "Who may have which name, and which line says so.",
    "registration": "Which hosts may join by evidence, and for which services.",
    "profiles": "The kinds of certificates, and what the linter said of them.",
    "backup": "A copy of the state, while the server runs.",
    "restore": "A state from a backup.",
    "crl": "The revocation lists.",
    "init": "An authority, before its server starts.",
    "show": "The CAs, their keys, and when they end.",
    "keys": "How the CA's keys are kept.",
    "request": "A request for an issuing CA's certificate, for a root elsewhere.",
    "install": "The certificate that the root signed elsewhere.",
    "sign": "Sign an issuing CA, where the root is.",
    "next-root": "The root that follows, where the root is.",
    "rotate": "A CA gets a new key, and no request fails.",
    "bundle": "The roots that clients must trust, as PEM, or the SPIFFE bundle.",
    "federation": "The trust domains whose bundles our workloads get.",
    "trust": "The roots in the trust stores of this machine.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.ca")
def command() -> None:
    """The private certificate authority.

    \b
    Examples:
      handsel ca bundle --state /var/lib/handsel > root.pem
    """
