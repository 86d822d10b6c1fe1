"""Whatever happens, a client ends up with the newest snapshot, and never has a listener without its clusters.

The client here does as Envoy: it wants every cluster and listener, asks for the endpoints and secrets that its clusters
name, and takes a cluster only after it has an answer for each of them. It may refuse anything, and may reconnect.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis.stateful import invariant

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.stream import DeltaStream, Request, Response
from tests.xds.talking import Talking, needed


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


class Conversing(Talking):
    def new_client(self, takes_half: bool) -> Client:
        return Client(takes_half=takes_half)

    def new_stream(self) -> DeltaStream:
        return DeltaStream(self.snapshot)

    def check_settled(self) -> None:
        if not self.ever_refused:
            assert self._held() == self._wanted()
            assert self.stream.in_sync
        assert self.client.have[LISTENER].keys() <= self.snapshot.of_type(LISTENER).keys()

    @invariant()
    def no_listener_is_without_its_clusters(self) -> None:
        if hasattr(self, "client"):
            self.check_clusters_of_listeners()

    @invariant()
    def no_cluster_loses_a_secret_that_it_names(self) -> None:
        if not hasattr(self, "client"):
            return
        lost = self.client.lost - self.client.have[SECRET].keys()
        for each in self.client.have[CLUSTER].values():
            assert not needed(each) & lost, f"{each.name} names secrets that were taken away"


TestConversing = Conversing.TestCase
TestConversing.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
