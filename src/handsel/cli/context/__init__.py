"""`handsel context`: how programs make their own TLS, and the same in the words of others."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "list": "The contexts of the mesh file.",
    "check": "Load contexts for real: what each side shows, and whom it believes.",
    "import": "Contexts out of Mule, Java or Spring, for the mesh file.",
    "export": "A context for Mule, Java, Spring, Go, Node, nginx or Envoy.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.context")
def command() -> None:
    """TLS contexts: how programs make their own TLS. They are declared in the mesh file, as `contexts:`.

    \b
    Examples:
      handsel context check
      handsel context import src/main/mule/*.xml > contexts.yaml
      handsel context export orders --to nginx --out /etc/nginx/snippets
    """
