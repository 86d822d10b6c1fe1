"""What the two variants of the xDS protocol share: one client on one stream, seen from the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.snapshot import Snapshot

NAMED_BY = {SECRET: (CLUSTER, LISTENER), CLUSTER: (LISTENER,), ENDPOINT: (LISTENER,)}
"""Types whose resources name those of another type: that one is taken away after they no longer do."""

WILDCARD_TYPES = (CLUSTER, LISTENER)
"""A client that names no resource of these types wants them all (xDS protocol, "Wildcard")."""


@dataclass(frozen=True)
class Rejected:
    """The client refused these resources, and why."""

    type_url: str
    names: tuple[str, ...]
    reason: str


class Response(Protocol):
    """A response, as far as both variants have it."""

    @property
    def type_url(self) -> str: ...
    @property
    def resources(self) -> tuple[Resource, ...]: ...


class Subscriber(Protocol):
    """The server's half of one stream, delta or state of the world. Requests in, responses out, no sockets.

    `rejections` and `accepted` (responses that were acknowledged) grow until their reader empties them. What is mostly
    empty here are tuples and frozen sets, of which all streams share the empty one.
    """

    rejections: tuple[Rejected, ...]
    accepted: tuple[Any, ...]

    def on_request(self, request: Any) -> None:
        """A subscription, an ACK, a NACK, or several of them in one."""

    def on_snapshot(self, snapshot: Snapshot) -> bool:
        """From now on the client should have this. Whether that changes anything that it has asked for."""

    def responses(self) -> Sequence[Any]:
        """Everything that may be sent now."""

    @property
    def is_proxy(self) -> bool:
        """Whether the client takes clusters or listeners, and not only secrets."""

    @property
    def settled(self) -> bool:
        """Whether the client has acknowledged everything that it subscribed to, and refused nothing of it."""

    @property
    def in_sync(self) -> bool:
        """Whether it is settled and has listeners, without which a proxy has nothing to do."""

    @property
    def asked(self) -> int:
        """How many names and types the client has subscribed to: what it costs us to remember it."""

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether the client has acknowledged this version."""

    def wants(self, type_url: str) -> bool:
        """Whether the client has asked for anything of this type."""

    def names(self, type_url: str) -> Iterable[str]:
        """The names of this type that it is subscribed to."""


def differ(before: Snapshot, after: Snapshot, type_url: str, names: Iterable[str] | None) -> bool:
    """Whether these names of a type, or with None all of it, are not the same in two snapshots."""
    if names is None:
        return before.of_type(type_url) != after.of_type(type_url)
    return any(_version(before.get(type_url, name)) != _version(after.get(type_url, name)) for name in names)


def _version(resource: Resource | None) -> str | None:
    return resource.version if resource else None
