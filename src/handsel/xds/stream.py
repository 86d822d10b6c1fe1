"""One delta ADS stream as a state machine: requests in, responses out, no sockets.

Rules it keeps (xDS protocol, "Incremental xDS"):
- one response of a type is under way at a time; the next waits for its ACK or NACK (no queues, latest wins);
- what is new is sent in `ADDING_ORDER`, and listeners wait until the clusters are acknowledged; clusters and secrets
  are taken away last, when nothing that names them is left (make before break);
- subscriptions change without being mistaken for an ACK; `initial_resource_versions` are believed, so that a client
  that reconnects gets only what it lacks;
- after a NACK the version is quarantined on this stream, the last good one is sent at once, and the rejection is told;
  when several were refused together, each is sent again alone, so that only the one at fault is quarantined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handsel.xds.resources import ADDING_ORDER, CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.snapshot import EMPTY, Snapshot

# Types whose resources name those of another type: that one is taken away after they no longer do.
_NAMED_BY = {SECRET: (CLUSTER, LISTENER), CLUSTER: (LISTENER,), ENDPOINT: (LISTENER,)}
# What the client has of a resource after it refused something: anything, or nothing.
_UNKNOWN = ""

# A client that names no resource of these types wants them all (xDS protocol, "Wildcard").
_WILDCARD_TYPES = (CLUSTER, LISTENER)


@dataclass(frozen=True)
class Request:
    """A `DeltaDiscoveryRequest`, as far as it counts."""

    type_url: str
    nonce: str = ""
    error: str | None = None
    subscribe: Sequence[str] = ()
    unsubscribe: Sequence[str] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """A `DeltaDiscoveryResponse`, as far as it counts."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class Rejected:
    """The client refused these resources, and why."""

    type_url: str
    names: tuple[str, ...]
    reason: str


@dataclass
class _TypeState:
    """What the client has and wants of one type."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)  # what the client has, as far as we know
    good: dict[str, Resource] = field(default_factory=dict)  # the last version of each that it acknowledged
    quarantined: set[tuple[str, str]] = field(default_factory=set)  # (name, version)
    suspects: set[tuple[str, str]] = field(default_factory=set)  # refused together with others: sent again alone
    unanswered: set[str] = field(default_factory=set)  # asked for, and neither sent nor known to be absent
    under_way: Response | None = None


class DeltaStream:
    """The server's half of a delta stream. Feed it `on_request` and `on_snapshot`; send what `responses` gives."""

    def __init__(self, snapshot: Snapshot = EMPTY) -> None:
        self._snapshot = snapshot
        self._types: dict[str, _TypeState] = {}
        self._sent = 0
        self.rejections: list[Rejected] = []

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """From now on the client should have this."""
        self._snapshot = snapshot

    def on_request(self, request: Request) -> None:
        """A subscription, an ACK, a NACK, or several of them in one."""
        state = self._types.get(request.type_url)
        if state is None:
            state = self._types[request.type_url] = _TypeState()
            state.wildcard = request.type_url in _WILDCARD_TYPES and not request.subscribe
            state.versions.update(request.initial_versions)
        self._answer_under_way(state, request)
        if "*" in request.subscribe:
            state.wildcard = True
        added = {name for name in request.subscribe if name != "*"}
        state.names |= added
        # A client that subscribes again has forgotten what it had; it must get an answer even if nothing changed.
        for name in added - set(request.initial_versions):
            state.versions.pop(name, None)
        state.unanswered |= added - set(state.versions)
        for name in request.unsubscribe:
            state.names.discard(name)
            state.versions.pop(name, None)
            state.unanswered.discard(name)
        if "*" in request.unsubscribe:
            state.wildcard = False
            state.versions = {name: version for name, version in state.versions.items() if name in state.names}

    def responses(self) -> list[Response]:
        """Everything that may be sent now."""
        ready: list[Response] = []
        for type_url in (*ADDING_ORDER, *(kind for kind in self._types if kind not in ADDING_ORDER)):
            state = self._types.get(type_url)
            if state is None or state.under_way is not None:
                continue
            resources = self._to_send(type_url, state) if self._may_add(type_url) else ()
            removed = self._to_remove(type_url, state)
            if resources or removed:
                ready.append(self._respond(type_url, state, resources, removed))
        return ready

    @property
    def in_sync(self) -> bool:
        """Whether the client has acknowledged everything of the snapshot that it subscribed to, and refused nothing."""
        if LISTENER not in self._types:
            return False
        return all(
            state.under_way is None
            and not state.quarantined & {(r.name, r.version) for r in self._wanted(type_url, state).values()}
            and all(state.versions.get(n) == r.version for n, r in self._wanted(type_url, state).items())
            for type_url, state in self._types.items()
        )

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether the client has acknowledged this version."""
        state = self._types.get(type_url)
        if state is None or state.versions.get(name) != version:
            return False
        return state.under_way is None or all(name != each.name for each in state.under_way.resources)

    def _answer_under_way(self, state: _TypeState, request: Request) -> None:
        response = state.under_way
        if response is None or request.nonce != response.nonce:
            return
        state.under_way = None
        answered = {(resource.name, resource.version) for resource in response.resources}
        state.suspects -= answered
        if request.error is None:
            for resource in response.resources:
                state.good[resource.name] = resource
            for name in response.removed:
                state.good.pop(name, None)
            return
        # A client may take over all, some or nothing of what it refuses; the next `responses` sends the last good
        # versions, and takes away again what was to go.
        if response.resources:
            state.versions |= dict.fromkeys(response.removed, _UNKNOWN)
        state.versions |= {name: _UNKNOWN for name, _ in answered if name in state.versions}
        if len(answered) > 1:
            state.suspects |= answered
            return
        state.quarantined |= answered
        self.rejections.append(Rejected(request.type_url, tuple(name for name, _ in answered), request.error))

    def _wanted(self, type_url: str, state: _TypeState) -> dict[str, Resource]:
        there = self._snapshot.of_type(type_url)
        return there if state.wildcard else {name: there[name] for name in state.names if name in there}

    def _offers(self, type_url: str, state: _TypeState) -> dict[str, Resource]:
        """What the client may get of what it wants: the newest version, or the last good one when it refused that."""
        offers: dict[str, Resource] = {}
        for name, wanted in self._wanted(type_url, state).items():
            for resource in (state.good.get(name), wanted):
                if resource is not None and (name, resource.version) not in state.quarantined:
                    offers[name] = resource
        return offers

    def _to_send(self, type_url: str, state: _TypeState) -> tuple[Resource, ...]:
        offers = self._offers(type_url, state)
        chosen = [resource for name, resource in offers.items() if state.versions.get(name) != resource.version]
        suspects = [resource for resource in chosen if (resource.name, resource.version) in state.suspects]
        return tuple(suspects[:1] or chosen)

    def _to_remove(self, type_url: str, state: _TypeState) -> tuple[str, ...]:
        wanted = self._wanted(type_url, state)
        gone = [name for name in state.versions if name not in wanted]
        if gone and not all(self._settled(kind) for kind in _NAMED_BY.get(type_url, ())):
            gone = []
        # A name that was asked for and cannot be had gets a definite answer (SDS and EDS would warm for ever).
        offers = self._offers(type_url, state)
        absent = [name for name in state.unanswered if name not in offers and name not in gone]
        return (*gone, *absent)

    def _may_add(self, type_url: str) -> bool:
        """Whether what this type refers to has arrived.

        Only listeners wait. Endpoints and secrets must not: Envoy acknowledges a new cluster only after it has both.
        """
        clusters = self._types.get(CLUSTER)
        return type_url != LISTENER or clusters is None or clusters.under_way is None

    def _settled(self, type_url: str) -> bool:
        """Whether the client has all of this type that is wanted, and nothing else."""
        state = self._types.get(type_url)
        if state is None:
            return True
        wanted = self._wanted(type_url, state)
        return (
            state.under_way is None
            and all(state.versions.get(name) == resource.version for name, resource in wanted.items())
            and all(name in wanted for name in state.versions)
        )

    def _respond(
        self, type_url: str, state: _TypeState, resources: tuple[Resource, ...], removed: tuple[str, ...]
    ) -> Response:
        self._sent += 1
        response = Response(type_url, f"{self._sent}", resources, removed)
        for resource in resources:
            state.versions[resource.name] = resource.version
        for name in removed:
            state.versions.pop(name, None)
        state.unanswered -= {resource.name for resource in resources} | set(removed)
        state.under_way = response
        return response
