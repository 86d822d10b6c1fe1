"""Whatever happens, a client ends up with the newest snapshot, and never has a listener without its clusters.

The client here does as Envoy: it wants every cluster and listener, asks for the endpoints and secrets that its clusters
name, and takes a cluster only after it has an answer for each of them. It may refuse anything, and may reconnect.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.snapshot import Snapshot
from handsel.xds.stream import DeltaStream, Request, Response
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


class Client:
    """Reads responses, writes requests. `refused` are resources that it will not take."""

    def __init__(self, *, takes_half: bool) -> None:
        self.takes_half = takes_half
        self.have: dict[str, dict[str, Resource]] = {kind: {} for kind in (SECRET, CLUSTER, ENDPOINT, LISTENER)}
        self.names: dict[str, set[str]] = {SECRET: set(), ENDPOINT: set()}
        self.answered: dict[str, set[str]] = {SECRET: set(), ENDPOINT: set()}
        self.lost: set[str] = set()  # secrets that it had, until they were taken away
        self.refused: set[Resource] = set()
        self.out: deque[Request] = deque()
        self._clusters_to_take: Response | None = None

    def connect(self) -> list[Request]:
        self.out.clear()
        self._clusters_to_take = None
        # What it waits for it does not claim to have: it wants an answer.
        versions = {
            kind: {n: r.version for n, r in held.items() if n in self.answered.get(kind, held)}
            for kind, held in self.have.items()
        }
        wildcard = [Request(kind, initial_versions=versions[kind]) for kind in (CLUSTER, LISTENER)]
        named = [
            Request(kind, subscribe=sorted(names), initial_versions=versions[kind])
            for kind, names in self.names.items()
            if names
        ]
        return [*wildcard, *named]

    def read(self, response: Response) -> None:
        asked = self.names.get(response.type_url)
        offered = [each for each in response.resources if asked is None or each.name in asked]
        bad = self.refused & set(offered)
        taken = () if bad and not self.takes_half else tuple(each for each in offered if each not in bad)
        held = self.have[response.type_url]
        held |= {resource.name: resource for resource in taken}
        if not bad or self.takes_half:
            gone = held.keys() & response.removed
            if response.type_url == SECRET:
                self.lost |= gone
            for name in gone:
                del held[name]
        if response.type_url in self.answered:
            self.answered[response.type_url] |= {r.name for r in response.resources} | set(response.removed)
        if response.type_url == CLUSTER:
            self._watch_what_clusters_name(taken)
        if bad:
            self.out.append(Request(response.type_url, response.nonce, "no"))
        elif response.type_url == CLUSTER:
            self._clusters_to_take = response
        else:
            self.out.append(Request(response.type_url, response.nonce))
        self._take_clusters()

    def _watch_what_clusters_name(self, renewed: tuple[Resource, ...]) -> None:
        clusters = self.have[CLUSTER]
        wanted = {ENDPOINT: set(clusters), SECRET: {name for each in clusters.values() for name in needed(each)}}
        again = {ENDPOINT: {each.name for each in renewed}, SECRET: set()}
        for kind, names in wanted.items():
            new, old = (names - self.names[kind]) | again[kind], self.names[kind] - names
            if new or old:
                self.out.append(Request(kind, subscribe=sorted(new), unsubscribe=sorted(old)))
            self.names[kind] = names
            self.answered[kind] -= new | old
            for name in old:
                self.have[kind].pop(name, None)
        self.lost &= wanted[SECRET]

    def _take_clusters(self) -> None:
        response = self._clusters_to_take
        if response is not None and all(self.names[kind] <= self.answered[kind] for kind in self.names):
            self._clusters_to_take = None
            self.out.append(Request(CLUSTER, response.nonce))


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
        self.stream = DeltaStream(self.snapshot)
        self.to_client: deque[Response] = deque()
        for request in self.client.connect():  # one burst, which the server reads before it answers
            self.stream.on_request(request)
        self.to_client.extend(self.stream.responses())

    @rule(snapshot=worlds)
    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.stream.on_snapshot(snapshot)
        self.to_client.extend(self.stream.responses())

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
        if not self.ever_refused:
            assert self._held() == self._wanted()
            assert self.stream.in_sync
        for resource in self._wanted() - self._held():
            assert resource.key in self.ever_refused, f"{resource} never arrived"
        assert not self.stream.in_sync or self._wanted() <= self._held()
        assert self.client.have[LISTENER].keys() <= self.snapshot.of_type(LISTENER).keys()

    @invariant()
    def no_listener_is_without_its_clusters(self) -> None:
        if not hasattr(self, "client"):
            return
        there = self.client.have[CLUSTER].keys() | {name for kind, name in self.ever_refused if kind == CLUSTER}
        for each in self.client.have[LISTENER].values():
            assert needed(each) <= there, f"{each.name} names clusters that are not there"

    @invariant()
    def no_cluster_loses_a_secret_that_it_names(self) -> None:
        if not hasattr(self, "client"):
            return
        lost = self.client.lost - self.client.have[SECRET].keys()
        for each in self.client.have[CLUSTER].values():
            assert not needed(each) & lost, f"{each.name} names secrets that were taken away"

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
