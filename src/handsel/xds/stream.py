"""One delta ADS stream as a state machine: requests in, responses out, no sockets.

Rules it keeps (xDS protocol, "Incremental xDS"):
- one response of a type is under way at a time; the next waits for its ACK or NACK (no queues, latest wins);
- what is new is sent in `ADDING_ORDER`, and listeners and routes wait until the clusters are acknowledged; clusters
  and secrets are taken away last, when nothing that names them is left (make before break);
- subscriptions change without being mistaken for an ACK; `initial_resource_versions` are believed, so that a client
  that reconnects gets only what it lacks;
- after a NACK the version is quarantined on this stream, the last good one is sent at once, and the rejection is told;
  when several were refused together, each is sent again alone, so that only the one at fault is quarantined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from handsel.xds.snapshot import EMPTY, Snapshot
from handsel.xds.subscriber import NAMED_BY, WILDCARD_TYPES, Rejected, ServerHalf, differ

# What the client has of a resource after it refused something: anything, or nothing.
_UNKNOWN = ""


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


@dataclass(slots=True)
class _TypeState:
    """What the client has and wants of one type."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)  # what the client has, as far as we know
    good: dict[str, Resource] = field(default_factory=dict)  # the last version of each that it acknowledged
    quarantined: frozenset[tuple[str, str]] = frozenset()  # (name, version)
    suspects: frozenset[tuple[str, str]] = frozenset()  # refused together with others: sent again alone
    unanswered: frozenset[str] = frozenset()  # asked for, and neither sent nor known to be absent
    under_way: Response | None = None


class DeltaStream(ServerHalf[_TypeState, Response]):
    """The server's half of a delta stream. Feed it `on_request` and `on_snapshot`; send what `responses` gives.

    A `patient` one says nothing of names that are granted but not there yet, instead of answering that they are absent.
    """

    __slots__ = ("_patient",)

    def __init__(self, snapshot: Snapshot = EMPTY, *, patient: bool = False) -> None:
        super().__init__(snapshot)
        self._patient = patient

    def on_snapshot(self, snapshot: Snapshot) -> bool:
        """From now on the client should have this. Whether that changes anything that it has asked for."""
        before, self._snapshot = self._snapshot, snapshot
        concerned = any(
            differ(before, snapshot, type_url, None if state.wildcard else state.names)
            for type_url, state in self._types.items()
        )
        if self._patient:  # what is waited for may be refused now
            concerned = concerned or any(state.unanswered for state in self._types.values())
        self._dirty = self._dirty or concerned
        return concerned

    def on_request(self, request: Request) -> None:
        """A subscription, an ACK, a NACK, or several of them in one."""
        state = self._types.get(request.type_url)
        if state is None:
            state = self._types[request.type_url] = _TypeState()
            state.wildcard = request.type_url in WILDCARD_TYPES and not request.subscribe
            state.versions.update(request.initial_versions)
            self._dirty = True
        self._answer_under_way(state, request)
        if not request.subscribe and not request.unsubscribe:
            return
        self._dirty = True
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
            state.unanswered -= {name}
        if "*" in request.unsubscribe:
            state.wildcard = False
            state.versions = {name: version for name, version in state.versions.items() if name in state.names}

    def _answer(self, type_url: str, state: _TypeState) -> Response | None:
        wanted = self._wanted(type_url, state)
        offers = self._offers(state, wanted)
        resources = self._to_send(state, offers) if self._may_add(type_url) else ()
        removed = self._to_remove(type_url, state, wanted, offers)
        return self._respond(type_url, state, resources, removed) if resources or removed else None

    @property
    def settled(self) -> bool:
        """Whether the client has acknowledged everything of the snapshot that it subscribed to, and refused nothing."""
        return all(
            state.under_way is None
            and all(
                state.versions.get(name) == resource.version and (name, resource.version) not in state.quarantined
                for name, resource in self._wanted(type_url, state).items()
            )
            for type_url, state in self._types.items()
        )

    @property
    def asked(self) -> int:
        """How many names and types the client has subscribed to."""
        return sum(1 + max(len(state.names), len(state.versions)) for state in self._types.values())

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
            self.accepted += (response,)
            for resource in response.resources:
                state.good[resource.name] = resource
            for name in response.removed:
                state.good.pop(name, None)
            return
        self._dirty = True
        # A client may take over all, some or nothing of what it refuses; the next `responses` sends the last good
        # versions, and takes away again what was to go.
        if response.resources:
            state.versions |= dict.fromkeys(response.removed, _UNKNOWN)
        state.versions |= {name: _UNKNOWN for name, _ in answered if name in state.versions}
        if len(answered) > 1:
            state.suspects |= answered
            return
        state.quarantined |= answered
        self.rejections += (Rejected(request.type_url, tuple(name for name, _ in answered), request.error),)

    def _wanted(self, type_url: str, state: _TypeState) -> Mapping[str, Resource]:
        if state.wildcard:
            return self._snapshot.of_type(type_url)
        found = ((name, self._snapshot.get(type_url, name)) for name in state.names)
        return {name: resource for name, resource in found if resource is not None}

    def _offers(self, state: _TypeState, wanted: Mapping[str, Resource]) -> Mapping[str, Resource]:
        """What the client may get of what it wants: the newest version, or the last good one when it refused that."""
        if not state.quarantined:
            return wanted
        offers: dict[str, Resource] = {}
        for name, newest in wanted.items():
            for resource in (state.good.get(name), newest):
                if resource is not None and (name, resource.version) not in state.quarantined:
                    offers[name] = resource
        return offers

    def _to_send(self, state: _TypeState, offers: Mapping[str, Resource]) -> tuple[Resource, ...]:
        chosen = [resource for name, resource in offers.items() if state.versions.get(name) != resource.version]
        suspects = [each for each in chosen if (each.name, each.version) in state.suspects] if state.suspects else []
        return tuple(suspects[:1] or chosen)

    def _to_remove(
        self, type_url: str, state: _TypeState, wanted: Mapping[str, Resource], offers: Mapping[str, Resource]
    ) -> tuple[str, ...]:
        gone = [name for name in state.versions if name not in wanted]
        if gone and not all(self._settled(kind) for kind in NAMED_BY.get(type_url, ())):
            gone = []
        if not state.unanswered:
            return tuple(gone)
        # A name that was asked for and cannot be had gets a definite answer (SDS and EDS would warm for ever).
        absent = [name for name in state.unanswered if name not in offers and name not in gone]
        if self._patient:
            absent = [name for name in absent if not self._snapshot.awaits(type_url, name)]
        return (*gone, *absent)

    def _may_add(self, type_url: str) -> bool:
        """Whether what this type refers to has arrived.

        Only listeners and routes wait. Endpoints and secrets must not: Envoy acknowledges a new cluster only after it
        has both.
        """
        clusters = self._types.get(CLUSTER)
        return type_url not in (LISTENER, ROUTE) or clusters is None or clusters.under_way is None

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
        if type_url == CLUSTER and ENDPOINT in self._types:
            # A cluster that is replaced waits for its endpoints again, and Envoy does not ask for what it has.
            for resource in resources:
                self._types[ENDPOINT].versions.pop(resource.name, None)
        return response
