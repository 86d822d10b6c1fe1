"""`handsel mesh`: what is declared, checked, compiled, and what really happens."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "config": "A stage of compiling: the graph, the plans, Envoy's configuration.",
    "inject": "Kubernetes manifests with the sidecar in their pods.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.mesh")
def command() -> None:
    """The mesh: what is declared, how it is compiled, what really happens in it.

    \b
    Examples:
      handsel mesh config --stage model
      handsel mesh config --stage xds --service web
      handsel mesh inject -f deployment.yaml | kubectl apply -f -
    """
