"""Conversations between a client and a stream, written as short lines.

A world is `cluster a1 b1`: a type, then resources by a name of one letter and the content behind it. An answer of the
server is `cluster +a1 -b`: it brings `a` with content `1` and takes `b` away. On a state-of-the-world stream it is
`cluster a1 c2`: all that the client is to have.
"""

from __future__ import annotations

from collections.abc import Mapping

from handsel.xds import sotw
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, Resource, resource
from handsel.xds.snapshot import Snapshot, snapshot
from handsel.xds.stream import DeltaStream, Request, Response

TYPES = {"secret": SECRET, "cluster": CLUSTER, "endpoint": ENDPOINT, "listener": LISTENER, "other": "example.com/Other"}
_WORDS = {type_url: word for word, type_url in TYPES.items()}


def thing(kind: str, text: str) -> Resource:
    return resource(TYPES[kind], text[0], text.encode())


def world(*lines: str) -> Snapshot:
    """A snapshot of these resources."""
    kinds = [line.split() for line in lines]
    return snapshot(thing(kind, text) for kind, *texts in kinds for text in texts)


def version(kind: str, text: str) -> str:
    return thing(kind, text).version


class Conversation:
    """A client of one stream. What it does returns what the server answers to it."""

    def __init__(self, *lines: str) -> None:
        self.stream = DeltaStream(world(*lines))
        self._last: dict[str, Response] = {}

    def asks(
        self, kind: str, subscribe: str = "", unsubscribe: str = "", has: Mapping[str, str] | str = "", nonce: str = ""
    ) -> list[str]:
        """A change of the subscription. `has` are resources that the client has from before it reconnected."""
        initial = {text[0]: version(kind, text) for text in has.split()} if isinstance(has, str) else has
        return self._send(Request(TYPES[kind], nonce, None, subscribe.split(), unsubscribe.split(), initial))

    def acks(self, kind: str, subscribe: str = "", unsubscribe: str = "") -> list[str]:
        """Takes the last response of this type."""
        nonce = self._last[TYPES[kind]].nonce
        return self._send(Request(TYPES[kind], nonce, None, subscribe.split(), unsubscribe.split()))

    def refuses(self, kind: str, reason: str = "no") -> list[str]:
        """Refuses the last response of this type."""
        return self._send(Request(TYPES[kind], self._last[TYPES[kind]].nonce, reason))

    def learns(self, *lines: str) -> list[str]:
        """The server has a newer snapshot."""
        self.stream.on_snapshot(world(*lines))
        return self._hear()

    def settles(self) -> list[str]:
        """Takes everything until the server has nothing more to say. Returns all of it."""
        heard: list[str] = []
        while pending := [kind for kind, type_url in TYPES.items() if type_url in self._last]:
            heard += self.acks(pending[0])
        return heard

    def _send(self, request: Request) -> list[str]:
        last = self._last.get(request.type_url)
        if last is not None and request.nonce == last.nonce:
            del self._last[request.type_url]
        self.stream.on_request(request)
        return self._hear()

    def _hear(self) -> list[str]:
        responses = self.stream.responses()
        for response in responses:
            assert response.type_url not in self._last, "one response of a type at a time"
            self._last[response.type_url] = response
        return [_line(response) for response in responses]


def _line(response: Response) -> str:
    added = sorted(f"+{each.body.decode()}" for each in response.resources)
    return " ".join([_WORDS[response.type_url], *added, *sorted(f"-{name}" for name in response.removed)])


class SotwConversation:
    """A client of one state-of-the-world stream, which says all that it wants each time."""

    def __init__(self, *lines: str, trusted: bool = False) -> None:
        self.stream = sotw.SotwStream(world(*lines), trusted=trusted)
        self._last: dict[str, sotw.Response] = {}  # not answered yet
        self._nonces: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self.versions: dict[str, str] = {}  # what it has taken

    def asks(self, kind: str, names: str | None = None, version: str = "", nonce: str | None = None) -> list[str]:
        """A request that is neither ACK nor NACK; without names, with those of before."""
        type_url = TYPES[kind]
        if names is not None:
            self._names[type_url] = names.split()
        nonce = self._nonces.get(type_url, "") if nonce is None else nonce
        return self._send(type_url, version or self.versions.get(type_url, ""), nonce)

    def acks(self, kind: str, names: str | None = None) -> list[str]:
        """Takes the last response of this type."""
        response = self._last.pop(TYPES[kind])
        self.versions[response.type_url] = response.version
        if names is not None:
            self._names[response.type_url] = names.split()
        return self._send(response.type_url, response.version, response.nonce)

    def refuses(self, kind: str, reason: str = "no") -> list[str]:
        """Refuses the last response of this type."""
        response = self._last.pop(TYPES[kind])
        return self._send(response.type_url, self.versions.get(response.type_url, ""), response.nonce, reason)

    def learns(self, *lines: str) -> list[str]:
        """The server has a newer snapshot."""
        self.stream.on_snapshot(world(*lines))
        return self._hear()

    def settles(self) -> list[str]:
        """Takes everything until the server has nothing more to say. Returns all of it."""
        heard: list[str] = []
        while pending := [kind for kind, type_url in TYPES.items() if type_url in self._last]:
            heard += self.acks(pending[0])
        return heard

    def _send(self, type_url: str, version: str, nonce: str, error: str | None = None) -> list[str]:
        self.stream.on_request(sotw.Request(type_url, self._names.get(type_url, ()), version, nonce, error))
        return self._hear()

    def _hear(self) -> list[str]:
        responses = self.stream.responses()
        for response in responses:
            assert response.type_url not in self._last, "one response of a type at a time"
            self._last[response.type_url] = response
            self._nonces[response.type_url] = response.nonce
        return [
            " ".join([_WORDS[response.type_url], *(each.body.decode() for each in response.resources)])
            for response in responses
        ]
