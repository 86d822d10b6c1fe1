"""Publications: the newest body for each (host, kind, key), with a sequence that any server can resume from.

A watch from `since=N` gets every publication of its host with a higher sequence, in order. Nothing is queued: a host
that was away gets the newest body of each key once, and none that it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Publish:
    """This is what the host gets for (kind, key) from now on. An empty body takes the key away."""

    host: str
    kind: str
    key: str
    body: bytes = field(repr=False)


def changed(current: dict[tuple[str, str, str], bytes], wanted: list[Publish]) -> tuple[Publish, ...]:
    """The publications that differ from what is there, with a taking-away for each key that is no longer wanted.

    `current` maps (host, kind, key) to the body that is published now (empty when taken away).
    """
    kept = {(publish.host, publish.kind, publish.key) for publish in wanted}
    changes = [p for p in wanted if current.get((p.host, p.kind, p.key)) != p.body]
    changes += [Publish(*key, b"") for key, body in current.items() if key not in kept and body]
    return tuple(changes)
