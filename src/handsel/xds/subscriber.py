"""What the two variants of the xDS protocol share: one client on one stream, seen from the server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from handsel.xds.resources import ADDING_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource
from handsel.xds.snapshot import Snapshot

NAMED_BY = {
    SECRET: (CLUSTER, LISTENER),
    CLUSTER: (LISTENER, ROUTE),
    ENDPOINT: (LISTENER, ROUTE),
    ROUTE: (LISTENER,),
}
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


class TypeState(Protocol):
    """What a client has and wants of one type, as far as both variants keep it alike."""

    wildcard: bool
    suspects: frozenset[tuple[str, str]]

    @property
    def names(self) -> Collection[str]: ...
    @property
    def under_way(self) -> object | None: ...


State = TypeVar("State", bound=TypeState)
Answer = TypeVar("Answer")


class ServerHalf(ABC, Generic[State, Answer]):
    """What both variants do alike: types in the order of adding, one response of each under way, the latest wins."""

    __slots__ = ("_dirty", "_sent", "_snapshot", "_types", "accepted", "rejections")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._types: dict[str, State] = {}
        self._sent = 0
        self._dirty = False  # whether there may be something to send: most calls find nothing, and are free
        self.rejections: tuple[Rejected, ...] = ()
        self.accepted: tuple[Answer, ...] = ()

    def responses(self) -> list[Answer]:
        """Everything that may be sent now."""
        if not self._dirty:
            return []
        ready: list[Answer] = []
        # What waits for an ACK, be it of its own type or of another, is looked at again after that.
        self._dirty = self.is_proxy
        for type_url in (*ADDING_ORDER, *(kind for kind in self._types if kind not in ADDING_ORDER)):
            state = self._types.get(type_url)
            if state is None:
                continue
            if state.under_way is not None:
                self._dirty = True
                continue
            self._dirty = self._dirty or bool(state.suspects)
            response = self._answer(type_url, state)
            if response is not None:
                ready.append(response)
        return ready

    @property
    def is_proxy(self) -> bool:
        """Whether the client takes clusters or listeners."""
        return CLUSTER in self._types or LISTENER in self._types

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether the client has acknowledged everything of the snapshot that it subscribed to, and refused nothing."""

    @property
    def in_sync(self) -> bool:
        """Whether the client is settled and has asked for listeners."""
        return LISTENER in self._types and self.settled

    def wants(self, type_url: str) -> bool:
        """Whether the client has asked for anything of this type."""
        return type_url in self._types

    def names(self, type_url: str) -> Iterable[str]:
        """The names of this type that the client is subscribed to."""
        state = self._types.get(type_url)
        if state is None:
            return ()
        return {*state.names, *self._snapshot.of_type(type_url)} if state.wildcard else state.names

    @abstractmethod
    def _answer(self, type_url: str, state: State) -> Answer | None:
        """What may be sent of a type of which nothing is under way."""


def differ(before: Snapshot, after: Snapshot, type_url: str, names: Iterable[str] | None) -> bool:
    """Whether these names of a type, or with None all of it, are not the same in two snapshots."""
    if names is None:
        return before.of_type(type_url) != after.of_type(type_url)
    return any(_version(before.get(type_url, name)) != _version(after.get(type_url, name)) for name in names)


def _version(resource: Resource | None) -> str | None:
    return resource.version if resource else None
