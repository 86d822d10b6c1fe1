"""`handsel cert`: certificates, as files and in the directory."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "inspect": "What is in a certificate file or key store, and what is wrong with it.",
    "create": "A certificate: by the authority, self-signed, or by a CA in a file; or a request.",
    "store": "Key stores: JKS, PKCS12, PEM, and others to read.",
    "ssh": "SSH certificates by the authority, for users and hosts.",
    "handshake": "A TLS handshake with any server, step by step.",
    "list": "Search what the authority has issued.",
    "forecast": "What ends when.",
    "revoke": "A certificate is not to be believed any more.",
    "issue": "Files of a service's identity on this host, kept new by its agent.",
    "deliveries": "What the agent of this host keeps as files.",
    "withdraw": "Files that were asked for on this host are kept no more.",
    "externalize": "Key stores in a folder outside of an application, on a Mule runtime's class path.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.cert")
def command() -> None:
    """Certificates, as files and in the authority's directory.

    \b
    Examples:
      handsel cert inspect server.crt
      openssl s_client -connect HOST:443 -showcerts </dev/null | handsel cert inspect
      handsel cert list --expires-within 7d --state /var/lib/handsel
    """
