"""Whatever happens, a client by state of the world has the newest snapshot in the end, and no listener without clusters.

The client wants every cluster and listener, and the endpoints and secrets that its clusters name. It may refuse
anything that it has not taken before, whole or in part, and may reconnect: then it says which set of each type it had
accepted last. What it has of a set that the server does not know any more, it cannot say in this protocol.
"""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis.stateful import invariant

from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource
from handsel.xds.sotw import Request, Response, SotwStream
from tests.xds.talking import Talking, needed

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


class Conversing(Talking):
    def new_client(self, takes_half: bool) -> Client:
        return Client(takes_half=takes_half)

    def new_stream(self) -> SotwStream:
        self.is_known = False
        return SotwStream(self.snapshot)

    def answers_to(self, concerned: bool) -> list[Response]:
        responses = self.stream.responses()
        assert concerned or not responses
        return responses

    def check_settled(self) -> None:
        if not self.ever_refused and self.snapshot.resources:
            # A name that is gone from the world cannot be taken away by this protocol.
            assert self._wanted() <= self._held()
            for kind in (CLUSTER, LISTENER):
                assert self.client.have[kind] == self.snapshot.of_type(kind)
            assert self.stream.in_sync
        self.is_known = self.is_known or all(
            self.client.have[kind] == self.snapshot.of_type(kind) for kind in (CLUSTER, LISTENER)
        )

    @invariant()
    def no_listener_is_without_its_clusters(self) -> None:
        if hasattr(self, "client") and self.is_known:
            self.check_clusters_of_listeners()


TestConversing = Conversing.TestCase
TestConversing.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
