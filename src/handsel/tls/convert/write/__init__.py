"""A TLS context in the words of others: a module each, with `write(context, sides)`. A password is never written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from handsel.model.context import TlsContext
from handsel.tls.convert.model import Exported, Note, NoteKind, Side
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

_SECRETS = "/run/secrets"


def export(target: str, context: TlsContext, sides: tuple[Side, ...]) -> Exported:
    """A context in the words of a target. A store that is a secret is looked for where containers have them."""
    key, trust = context.key_store, context.trust_store
    notes: list[Note] = []
    for each in (key, trust):
        if each is not None and each.secret:
            place = f"{_SECRETS}/{each.secret}"
            notes.append(Note(target, 0, NoteKind.DECIDE, context.name, f"the secret {each.secret} must be at {place}"))
    if key is not None and key.secret:
        key = replace(key, path=f"{_SECRETS}/{key.secret}", secret="")
    if trust is not None and trust.secret:
        trust = replace(trust, path=f"{_SECRETS}/{trust.secret}", secret="")
    exported = TARGETS[target](replace(context, key_store=key, trust_store=trust), sides)
    return replace(exported, notes=(*notes, *exported.notes))
