"""`handsel mesh`: what is declared, checked, compiled, and what really happens."""

from __future__ import annotations

import click

from handsel.cli.lazy import LazyGroup

_VERBS = {
    "check": "Every fault and risk of what is declared, before it runs.",
    "graph": "Who talks to whom, how encrypted, which share of the traffic.",
    "proxies": "Every proxy: in sync or stale, and what it refused.",
    "tap": "Calls as they happen, with both identities.",
    "config": "A stage of compiling: the graph, the plans, Envoy's configuration.",
    "route": "Which rule takes a URL, and why the others do not.",
    "plaintext": "Who still calls without TLS, and which services can be strict.",
    "authorize": "Whether a call is allowed, and which rule says so.",
    "inject": "Kubernetes manifests with the sidecar in their pods.",
}


@click.group(cls=LazyGroup, verbs=_VERBS, package="handsel.cli.mesh")
def command() -> None:
    """The mesh: what is declared, how it is compiled, what really happens in it.

    \b
    Examples:
      handsel mesh check -f istio/
      handsel mesh config --stage model
      handsel mesh config --stage xds --service web
      handsel mesh graph
      handsel mesh proxies
      handsel mesh tap --from web --count 10
      handsel mesh route https://shop.example.com/v1/eu/orders/7
      handsel mesh plaintext
      handsel mesh authorize --from web --to emoji --method POST --path /votes
      handsel mesh inject -f deployment.yaml | kubectl apply -f -
    """
