"""`handsel context list`: what the mesh file declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handsel.cli import common

if TYPE_CHECKING:
    from handsel.model.context import KeyStore, TrustStore


@click.command("list")
@common.config_option
@common.output_option
def command(config: Path, output: str) -> None:
    """Show the TLS contexts of the mesh file.

    \b
    Examples:
      handsel context list
      handsel context list -f shop.yaml -o json
    """
    from handsel.tls.convert import handsel_yaml
    from handsel.wiring.contexts import read_declared

    contexts = read_declared(config).contexts
    if output == "table":
        rows = [
            (
                name,
                _store(each.key_store),
                "EVERYBODY (insecure)" if each.insecure else _store(each.trust_store) or "the machine's roots",
                str(each.asks_clients),
                " ".join(each.protocols),
            )
            for name, each in contexts.items()
        ]
        common.print_table(("CONTEXT", "SHOWS", "BELIEVES", "ASKS CLIENTS", "PROTOCOLS"), rows)
        return
    content = {"kind": "TlsContexts", "contexts": handsel_yaml.tree(contexts)}
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", **content}, indent=2))
    else:
        common.print_yaml(content)


def _store(store: KeyStore | TrustStore | None) -> str:
    if store is None:
        return ""
    if store.authority:
        return "handsel's CA"
    return store.path or "the machine's roots"
