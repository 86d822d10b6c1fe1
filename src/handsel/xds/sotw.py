"""One state-of-the-world stream as a state machine: requests in, responses out, no sockets.

Each response has all that the client may have of a type. Rules it keeps (xDS protocol, "SotW"):
- the version of a response is the hash of what it holds: equal content, equal version, also after a restart;
- a request always names everything that the client wants; what is new in it is sent, whether the request is an ACK
  or not; one that answers nothing and names nothing new asks for the same again (Envoy does for endpoints);
- one response of a type is under way at a time; the next waits for its ACK or NACK (no queues, latest wins);
- the order is that of the delta stream: listeners wait for the clusters; a cluster goes when no listener names it;
- after a NACK the last good set is sent at once and what was refused is quarantined on this stream; when several were
  refused together, they are sent again one by one, so that only the one at fault is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, Resource
from handsel.xds.snapshot import EMPTY, Snapshot
from handsel.xds.subscriber import NAMED_BY, WILDCARD_TYPES, Rejected, ServerHalf, differ


@dataclass(frozen=True)
class Request:
    """A `DiscoveryRequest`, as far as it counts."""

    type_url: str
    names: Sequence[str] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Response:
    """A `DiscoveryResponse`, as far as it counts."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Resource, ...]


def version_of(resources: Mapping[str, Resource]) -> str:
    """The version of a set of resources: a hash of their names and versions."""
    lines = "".join(f"{name}\0{resources[name].version}\n" for name in sorted(resources))
    return hashlib.blake2b(lines.encode(), digest_size=12).hexdigest()


@dataclass(slots=True)
class _TypeState:
    """What the client has and wants of one type."""

    wildcard: bool = False
    explicit: bool = False  # it has named something: from then on no names mean nothing
    names: set[str] = field(default_factory=set)
    held: dict[str, str] | None = None  # name → version that the client has, as far as we know; None: anything
    good: dict[str, Resource] = field(default_factory=dict)  # the last version of each that it acknowledged
    quarantined: frozenset[tuple[str, str]] = frozenset()  # (name, version)
    suspects: frozenset[tuple[str, str]] = frozenset()  # refused together with others: sent again alone
    refused: str = ""  # the version of a set that it refused though nothing in it was new
    acknowledged: bool = False
    reconnected: bool = False  # it says that it has something, from another stream
    nonce: str = ""
    under_way: Response | None = None


class SotwStream(ServerHalf[_TypeState, Response]):
    """The server's half of a SotW stream. Feed it `on_request` and `on_snapshot`; send what `responses` gives.

    A client that reconnects says which set it had accepted last, and gets nothing when that is what it should have.
    Of named types only a `trusted` one is believed: on a stream of many subscriptions it may have dropped a name since.
    """

    __slots__ = ("_trusted",)

    def __init__(self, snapshot: Snapshot = EMPTY, *, trusted: bool = False) -> None:
        super().__init__(snapshot)
        self._trusted = trusted

    def on_snapshot(self, snapshot: Snapshot) -> bool:
        """From now on the client should have this. Whether that changes anything that it has asked for."""
        before, self._snapshot = self._snapshot, snapshot
        is_first_world = not before.resources and bool(snapshot.resources)  # see `_lacks`
        concerned = is_first_world or any(
            differ(before, snapshot, type_url, None if state.wildcard else state.names)
            for type_url, state in self._types.items()
        )
        self._dirty = self._dirty or concerned
        return concerned

    def on_request(self, request: Request) -> None:
        """A subscription, an ACK, a NACK, or several of them in one."""
        state = self._types.get(request.type_url)
        is_first = state is None
        if state is None:
            state = self._types[request.type_url] = _TypeState()
        answered = self._answer_under_way(state, request)
        changed = self._subscribe(state, request)
        self._dirty = self._dirty or is_first or changed or not answered or request.error is not None
        if is_first:
            self._believe(state, request)
        elif (
            not answered and not changed
            and state.under_way is None and request.error is None and request.nonce == state.nonce
        ):  # fmt: skip
            state.held = None

    def _answer(self, type_url: str, state: _TypeState) -> Response | None:
        offers = self._offers(type_url, state)
        if not self._may_send(type_url) or not self._lacks(state, offers):
            return None
        version = version_of(offers)
        return self._respond(type_url, state, offers, version) if version != state.refused else None

    @property
    def settled(self) -> bool:
        """Whether the client has acknowledged everything of the snapshot that it subscribed to, and refused nothing."""
        return all(self._is_settled(type_url) for type_url in self._types)

    @property
    def asked(self) -> int:
        """How many names and types the client has subscribed to."""
        return sum(1 + len(state.names) for state in self._types.values())

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether the client has acknowledged this version."""
        state = self._types.get(type_url)
        if state is None or not state.held or state.held.get(name) != version:
            return False
        return state.under_way is None or all(name != each.name for each in state.under_way.resources)

    def _answer_under_way(self, state: _TypeState, request: Request) -> bool:
        response = state.under_way
        if response is None or request.nonce != response.nonce:
            return False
        state.under_way = None
        new = [each for each in response.resources if state.good.get(each.name) != each]
        state.suspects -= {(each.name, each.version) for each in new}
        if request.error is None:
            self.accepted += (response,)
            state.acknowledged, state.refused = True, ""
            state.good = {each.name: each for each in response.resources}
            return True
        state.held = None
        if len(new) > 1:
            state.suspects |= {(each.name, each.version) for each in new}
            return True
        state.quarantined |= {(each.name, each.version) for each in new}
        state.refused = "" if new else response.version
        names = tuple(each.name for each in new or response.resources)
        self.rejections += (Rejected(request.type_url, names, request.error),)
        return True

    def _subscribe(self, state: _TypeState, request: Request) -> bool:
        """Take over what the request names. Whether it names something else than before."""
        before = state.wildcard, state.names
        names = set(request.names)
        if names and names == state.names and not state.wildcard:
            return False
        state.explicit = state.explicit or bool(names)
        state.wildcard = "*" in names or (request.type_url in WILDCARD_TYPES and not state.explicit)
        state.names = names - {"*"}
        if not state.wildcard:  # what is dropped is forgotten, by the client too
            state.good = {name: resource for name, resource in state.good.items() if name in names}
            if state.held is not None:
                state.held = {name: version for name, version in state.held.items() if name in names}
        return before != (state.wildcard, state.names)

    def _believe(self, state: _TypeState, request: Request) -> None:
        state.reconnected = bool(request.version)
        if not request.version or not (state.wildcard or self._trusted):
            return
        offers = self._offers(request.type_url, state)
        if version_of(offers) == request.version:
            state.held = {name: resource.version for name, resource in offers.items()}
            state.good, state.acknowledged = offers, True

    def _wanted(self, type_url: str, state: _TypeState) -> Mapping[str, Resource]:
        if state.wildcard:
            return self._snapshot.of_type(type_url)
        found = ((name, self._snapshot.get(type_url, name)) for name in state.names)
        return {name: resource for name, resource in found if resource is not None}

    def _offers(self, type_url: str, state: _TypeState) -> dict[str, Resource]:
        """What the client may have: the newest of each, or the last good one of what it refused."""
        offers: dict[str, Resource] = {}
        tried = False
        for name, wanted in self._wanted(type_url, state).items():
            key = (name, wanted.version)
            suspected = key in state.suspects and tried
            tried = tried or key in state.suspects
            choice = state.good.get(name) if suspected or key in state.quarantined else wanted
            if choice is not None:
                offers[name] = choice
        # Make before break: what another type may still name stays until that has been replaced.
        if state.wildcard and not all(self._is_settled(kind) for kind in NAMED_BY.get(type_url, ())):
            offers = {**state.good, **offers}
        return offers

    def _lacks(self, state: _TypeState, offers: Mapping[str, Resource]) -> bool:
        """Whether the client is to be sent these."""
        if not state.wildcard:
            held = state.held or {}
            return any(held.get(name) != resource.version for name, resource in offers.items())
        if state.held is not None:
            return state.held != {name: resource.version for name, resource in offers.items()}
        # Nothing is an answer too, once there is a world; a refused first set is not answered by taking all away.
        refused_before = bool(state.quarantined or state.suspects)
        return bool(offers) or state.acknowledged or (bool(self._snapshot.resources) and not refused_before)

    def _may_send(self, type_url: str) -> bool:
        """Whether what this type refers to has arrived. Only listeners wait, as on the delta stream."""
        clusters = self._types.get(CLUSTER)
        return type_url != LISTENER or clusters is None or clusters.under_way is None

    def _is_settled(self, type_url: str) -> bool:
        """Whether the client has acknowledged all of this type that is wanted and, where it gets all, nothing else."""
        state = self._types.get(type_url)
        if state is None:
            return True
        wanted, held = self._wanted(type_url, state), state.held or {}
        return (
            state.under_way is None
            and all(
                held.get(name) == resource.version and (name, resource.version) not in state.quarantined
                for name, resource in wanted.items()
            )
            and (not state.wildcard or held.keys() <= wanted.keys())
            and not (state.held is None and state.reconnected and state.wildcard)
        )

    def _respond(self, type_url: str, state: _TypeState, offers: Mapping[str, Resource], version: str) -> Response:
        self._sent += 1
        state.nonce = f"{self._sent}"
        resources = tuple(offers[name] for name in sorted(offers))
        if type_url == CLUSTER and (endpoints := self._types.get(ENDPOINT)) is not None and endpoints.held:
            # A cluster that is replaced waits for its endpoints again, and Envoy does not ask for what it has.
            before = state.held or {}
            for each in resources:
                if before.get(each.name) != each.version:
                    endpoints.held.pop(each.name, None)
        state.held = {each.name: each.version for each in resources}
        state.under_way = Response(type_url, state.nonce, version, resources)
        return state.under_way
