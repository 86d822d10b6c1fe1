"""The root of the command line: which verbs there are, and how an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys

import click

from handsel import __version__
from handsel.cli.lazy import LazyGroup
from handsel.errors import HandselError, InvalidFile

_VERBS = {
    "up": "Start server, agent, sidecars and the services of the mesh file here.",
    "down": "Stop what `up` started, leaving nothing behind.",
    "run": "One service's program beside its sidecar.",
    "join": "Enrol this host, with a ticket or with other evidence.",
    "server": "The server alone: authority and compiled configuration.",
    "apply": "Istio resources or a mesh file, for a running server.",
    "agent": "The agent of this host, and the hosts that have joined.",
    "ca": "The private certificate authority.",
    "status": "One screen: authority, hosts, proxies in sync, certificates.",
    "doctor": "What of this host keeps handsel from being well, and mending it.",
    "explain": "A call, a TLS error or a code: cause, evidence, next step.",
    "cert": "Certificates, as files.",
    "context": "TLS contexts: how programs make their own TLS.",
    "secret": "Secrets: put, granted, and delivered to services.",
    "mesh": "The mesh: what is declared, compiled, and what really happens.",
    "config": "Settings and the mesh file, as they are understood.",
}


@click.group(
    cls=LazyGroup,
    verbs=_VERBS,
    package="handsel.cli",
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "HANDSEL"},
)
@click.version_option(__version__, prog_name="handsel")
def root() -> None:
    """An identity for every service, and mutual TLS on every connection, from minute zero.

    \b
    Examples:
      handsel up --demo            a voting application, every connection mutual TLS
      handsel up -f handsel.yaml   your own services
    """


def main() -> None:
    """The entry point of the command `handsel`."""
    # gRPC's fork support leaks per channel, and nothing here forks after importing it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.umask(0o077)
    try:
        root(standalone_mode=True)
    except HandselError as error:
        # A fault of a file keeps the form that editors know: file:line:column: path: message.
        click.echo(str(error) if isinstance(error, InvalidFile) else f"handsel: {error.code} {error}", err=True)
        if error.next_step:
            click.echo(f"  {error.next_step}", err=True)
        sys.exit(error.exit_code)
