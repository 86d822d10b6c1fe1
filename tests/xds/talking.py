"""A client and a server's half of a stream that talk, whichever variant they speak: what both state machines share."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from handsel.xds.resources import CLUSTER, LISTENER, Resource
from handsel.xds.snapshot import Snapshot
from tests.xds.conversation import world

_contents = st.sampled_from("12")


def _things(names: str, needs: str) -> st.SearchStrategy[dict[str, tuple[str, frozenset[str]]]]:
    return st.dictionaries(st.sampled_from(names), st.tuples(_contents, st.frozensets(st.sampled_from(needs))))


def _world(secrets: dict, clusters: dict, endpoints: dict, listeners: dict) -> Snapshot:
    """A body is a name, a content and, behind a colon, the names of what it needs: `a1:st`."""

    def line(kind: str, things: dict, there: dict) -> str:
        texts = (
            f"{name}{content}:{''.join(sorted(needs & there.keys()))}" for name, (content, needs) in things.items()
        )
        return " ".join([kind, *texts])

    return world(
        line("secret", {name: (content, frozenset()) for name, content in secrets.items()}, {}),
        line("cluster", clusters, secrets),
        line("endpoint", {name: (endpoints[name], frozenset()) for name in endpoints.keys() & clusters.keys()}, {}),
        line("listener", listeners, clusters),
    )


worlds = st.builds(
    _world,
    secrets=st.dictionaries(st.sampled_from("stu"), _contents),
    clusters=_things("abc", "stu"),
    endpoints=st.dictionaries(st.sampled_from("abc"), _contents),
    listeners=_things("xyz", "abc"),
)


def needed(resource: Resource) -> set[str]:
    return set(resource.body.decode().partition(":")[2])


class Talking(RuleBasedStateMachine):
    """Requests and responses travel one at a time; between them anything may happen.

    Whoever inherits it has `new_client` and `new_stream`, and says in `check_settled` what holds when all was read.
    """

    @initialize(takes_half=st.booleans(), snapshot=worlds)
    def begin(self, takes_half: bool, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.client = self.new_client(takes_half)
        self.ever_refused: set[tuple[str, str]] = set()
        self.reconnect()

    @rule()
    def reconnect(self) -> None:
        """A new stream: what was on its way is lost, and so is what the server knew of refusals."""
        self.stream = self.new_stream()
        self.to_client: deque[Any] = deque()
        for request in self.client.connect():  # one burst, which the server reads before it answers
            self.stream.on_request(request)
        self.to_client.extend(self.stream.responses())

    @rule(snapshot=worlds)
    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        concerned = self.stream.on_snapshot(snapshot)
        self.to_client.extend(self.answers_to(concerned))

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
        self.check_settled()
        for resource in self._wanted() - self._held():
            assert resource.key in self.ever_refused, f"{resource} never arrived"
        assert not self.stream.in_sync or self._wanted() <= self._held()

    def answers_to(self, concerned: bool) -> list[Any]:
        """What the server sends because of a newer snapshot."""
        return self.stream.responses()

    def check_clusters_of_listeners(self) -> None:
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
