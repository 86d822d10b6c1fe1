"""Publications: the newest body for each (host, kind, key), with a sequence that any server can resume from.

A watch from `since=N` gets every publication of its host with a higher sequence, in order. Nothing is queued: a host
that was away gets the newest body of each key once, and none that it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Key = tuple[str, str, str]
"""(host, kind, key)."""


@dataclass(frozen=True)
class Publish:
    """This is what the host gets for (kind, key) from now on. An empty body takes the key away."""

    host: str
    kind: str
    key: str
    body: bytes = field(repr=False)

    @property
    def key_of(self) -> Key:
        """What it takes the place of."""
        return (self.host, self.kind, self.key)


class Published:
    """What is published of each (host, kind, key), by digest: so that only what differs is published again."""

    def __init__(self) -> None:
        self._digests: dict[Key, bytes] = {}
        self.sequence = 0
        """Up to where it is known."""

    def note(self, sequence: int, publish: Publish) -> None:
        """This was published."""
        self.sequence = max(self.sequence, sequence)
        if publish.body:
            self._digests[publish.key_of] = _digest(publish.body)
        else:
            self._digests.pop(publish.key_of, None)

    def differing(self, wanted: Iterable[Publish]) -> list[Publish]:
        """Those of `wanted` that are not published yet."""
        return [each for each in wanted if self._digests.get(each.key_of) != _digest(each.body)]

    def gone(self, wanted: Collection[Key]) -> list[Publish]:
        """A taking-away of each key that is published and not among all that are wanted."""
        return [Publish(*key, b"") for key in self._digests if key not in wanted]


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
