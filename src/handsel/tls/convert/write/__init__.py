"""A TLS context in the words of others: a module each, with `write(context, sides)`. A password is never written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handsel.model.context import TlsContext
from handsel.tls.convert.model import Exported, Side
from handsel.tls.convert.write import envoy, go, java, mule, nginx, node, spring

Write = Callable[[TlsContext, tuple[Side, ...]], Exported]

TARGETS: Mapping[str, Write] = {
    "mule": mule.write,
    "java": java.write,
    "spring": spring.write,
    "go": go.write,
    "node": node.write,
    "nginx": nginx.write,
    "envoy": envoy.write,
}
"""The writer of each target."""
