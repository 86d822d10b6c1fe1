"""Whatever happens, a client by state of the world has the newest snapshot in the end, and no listener without clusters.

The client wants every cluster and listener, and the endpoints and secrets that its clusters name. It may refuse
anything that it has not taken before, whole or in part, and may reconnect: then it says which set of each type it had
accepted last. What it has of a set that the server does not know any more, it cannot say in this protocol.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.snapshot import Snapshot
from handsel.xds.sotw import Request, Response, SotwStream
from tests.xds.test_stream_converges import needed, worlds

_NAMED = (SECRET, ENDPOINT)


class Client:
    """Reads responses, writes requests. `refused` are resources that it will not take."""

    def __init__(self, *, takes_half: bool) -> None:
        self.takes_half = takes_half
        self.have: dict[str, dict[str, Resource]] = {kind: {} for kind in (SECRET, CLUSTER, ENDPOINT, LISTENER)}
        self.names: dict[str, set[str]] = {kind: set() for kind in _NAMED}
        self.versions: dict[str, str] = {}  # of what it accepted last
        self.nonces: dict[str, str] = {}
        self.refused: set[Resource] = set()
        self.ever_taken: set[Resource] = set()
        self.out: deque[Request] = deque()

    def connect(self) -> list[Request]:
        self.out.clear()
        self.nonces.clear()
        return [self._request(kind) for kind in (CLUSTER, LISTENER, *(kind for kind in _NAMED if self.names[kind]))]

    def read(self, response: Response) -> None:
        kind = response.type_url
        self.nonces[kind] = response.nonce
        asked = self.names.get(kind)
        offered = {each.name: each for each in response.resources if asked is None or each.name in asked}
        bad = self.refused & set(offered.values()) - self.ever_taken
        if not bad or self.takes_half:
            taken = {name: each for name, each in offered.items() if each not in bad}
            kept = {name: each for name, each in self.have[kind].items() if asked is not None or name in offered}
            self.have[kind] = kept | taken
            self.ever_taken |= set(taken.values())
        if not bad:
            self.versions[kind] = response.version
        self.out.append(self._request(kind, "no" if bad else None))
        if kind == CLUSTER:
            self._watch_what_clusters_name()

    def _watch_what_clusters_name(self) -> None:
        clusters = self.have[CLUSTER]
        wanted = {ENDPOINT: set(clusters), SECRET: {name for each in clusters.values() for name in needed(each)}}
        for kind, names in wanted.items():
            if names != self.names[kind]:
                self.names[kind] = names
                self.have[kind] = {name: each for name, each in self.have[kind].items() if name in names}
                self.out.append(self._request(kind))

    def _request(self, kind: str, error: str | None = None) -> Request:
        names = sorted(self.names.get(kind, ()))
        return Request(kind, names, self.versions.get(kind, ""), self.nonces.get(kind, ""), error)


class Conversing(RuleBasedStateMachine):
    """Requests and responses travel one at a time; between them anything may happen."""

    @initialize(takes_half=st.booleans(), snapshot=worlds)
    def begin(self, takes_half: bool, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.client = Client(takes_half=takes_half)
        self.ever_refused: set[tuple[str, str]] = set()
        self.reconnect()

    @rule()
    def reconnect(self) -> None:
        """A new stream: what was on its way is lost, and so is what the server knew of refusals."""
        self.stream = SotwStream(self.snapshot)
        self.is_known = False
        self.to_client: deque[Response] = deque()
        for request in self.client.connect():
            self.stream.on_request(request)
        self.to_client.extend(self.stream.responses())

    @rule(snapshot=worlds)
    def publish(self, snapshot: Snapshot) -> None:
        concerned = self.stream.on_snapshot(snapshot)
        responses = self.stream.responses()
        assert concerned or not responses
        self.snapshot = snapshot
        self.to_client.extend(responses)

    @precondition(lambda self: self.client.out)
    @rule()
    def server_reads(self) -> None:
        self.stream.on_request(self.client.out.popleft())
        self.to_client.extend(self.stream.responses())

    @precondition(lambda self: self.to_client)
    @rule()
    def client_reads(self) -> None:
        self.client.read(self.to_client.popleft())

    @precondition(lambda self: self.snapshot.resources)
    @rule(data=st.data())
    def dislike(self, data: st.DataObject) -> None:
        """From now on the client refuses one of the resources, whatever it said of it before."""
        resource = data.draw(st.sampled_from(sorted(self.snapshot.resources.values(), key=lambda r: r.key)))
        self.client.refused.add(resource)
        self.ever_refused.add(resource.key)

    @rule()
    def like_everything(self) -> None:
        self.client.refused.clear()

    @rule()
    def settle(self) -> None:
        steps = 0
        while self.client.out or self.to_client:
            (self.server_reads if self.client.out else self.client_reads)()
            steps += 1
            assert steps < 300, "the conversation has no end"
        if not self.ever_refused and self.snapshot.resources:
            # A name that is gone from the world cannot be taken away by this protocol.
            assert self._wanted() <= self._held()
            for kind in (CLUSTER, LISTENER):
                assert self.client.have[kind] == self.snapshot.of_type(kind)
            assert self.stream.in_sync
        self.is_known = self.is_known or all(
            self.client.have[kind] == self.snapshot.of_type(kind) for kind in (CLUSTER, LISTENER)
        )
        for resource in self._wanted() - self._held():
            assert resource.key in self.ever_refused, f"{resource} never arrived"
        assert not self.stream.in_sync or self._wanted() <= self._held()

    @invariant()
    def no_listener_is_without_its_clusters(self) -> None:
        if not hasattr(self, "client") or not self.is_known:
            return
        there = self.client.have[CLUSTER].keys() | {name for kind, name in self.ever_refused if kind == CLUSTER}
        for each in self.client.have[LISTENER].values():
            assert needed(each) <= there, f"{each.name} names clusters that are not there"

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.client.refused.clear()
            self.settle()

    def _held(self) -> set[Resource]:
        return {resource for held in self.client.have.values() for resource in held.values()}

    def _wanted(self) -> set[Resource]:
        """All of the snapshot that the client asks for."""
        asked = {CLUSTER: None, LISTENER: None, **self.client.names}
        return {
            resource
            for kind, names in asked.items()
            for name, resource in self.snapshot.of_type(kind).items()
            if names is None or name in names
        }


TestConversing = Conversing.TestCase
TestConversing.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
