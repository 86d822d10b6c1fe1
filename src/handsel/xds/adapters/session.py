"""One stream of one client: the state machine with gRPC on its other side.

Its coroutine reads requests and answers them. What a newer snapshot brings is sent by a task that lives as long as the
sending takes; a client that does not read keeps one of them waiting, and nothing else. A stream that nothing changed
for is not woken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from handsel.xds.adapters.wire import Encoder, Variant, status
from handsel.xds.facts import Ledger
from handsel.xds.names import NOTHING, Decision, Served
from handsel.xds.resources import SECRET
from handsel.xds.subscriber import Rejected

# What one client may make us remember: names and types, together.
_MOST_ASKED = 20_000
_AT_ONCE = 50

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass
class Door:
    """What the sessions of one socket share."""

    clock: Callable[[], datetime]
    on_change: Callable[[], None]
    on_decision: Callable[[str, bool, str], None]
    served: Served = NOTHING
    sessions: dict[Session, None] = field(default_factory=dict)
    rejections: list[Rejected] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    encoder: Encoder = field(default_factory=lambda: Encoder(NOTHING))
    _due: deque[Session] = field(default_factory=deque)
    _pumping: asyncio.Task[None] | None = None

    def publish(self, served: Served, *, other_names: bool) -> None:
        """Serve this from now on: whom it concerns gets it soon."""
        self.served = served
        self.encoder = Encoder(served)
        self.ledger.published(served, self.clock())
        self._due.extend(each for each in self.sessions if each.on_snapshot(other_names=other_names))
        if self._due and (self._pumping is None or self._pumping.done()):
            self._pumping = asyncio.get_running_loop().create_task(self._pump())

    async def _pump(self) -> None:
        """Begin some pushes at a time: ten thousand at once would all wait, and cost Python's collector the most."""
        while self._due:
            for _ in range(min(_AT_ONCE, len(self._due))):
                session = self._due.popleft()
                if session in self.sessions:
                    session.push()
            await asyncio.sleep(0)

    def decide(self, name: str) -> Decision:
        """Whether the name is granted; told to whoever keeps the log."""
        decision = self.served.decide(name)
        self.on_decision(name, decision.granted, decision.reason)
        return decision


class Session:
    """One stream, from its first request to its end. A `standalone` one is of SDS: it has secrets only."""

    __slots__ = (
        "__weakref__", "_context", "_decided", "_door", "_pushing", "_refused", "_sending", "_variant",
        "rejections", "standalone", "subscriber",
    )  # fmt: skip

    def __init__(self, door: Door, context: Context, variant: Variant, *, standalone: bool) -> None:
        self._door = door
        self._context = context
        self._variant = variant
        self.standalone = standalone
        self.subscriber = variant.begin(door.served, standalone)
        self._decided: dict[str, Decision] = {}
        self.rejections: tuple[Rejected, ...] = ()
        self._sending = False
        self._pushing: asyncio.Task[None] | None = None
        self._refused: Decision | None = None

    async def serve(self) -> None:
        """Read until the client ends its half."""
        self._door.sessions[self] = None
        try:
            while isinstance(data := await self._context.read(), bytes):
                await self._take(data)
                await self._send()
                self._note()
        finally:
            del self._door.sessions[self]
            if self._pushing is not None:
                self._pushing.cancel()
            self._end()

    def on_snapshot(self, *, other_names: bool) -> bool:
        """There is a newer snapshot. Whether there is something to `push`.

        With `other_names`, other names may be granted than before.
        """
        concerned = self.subscriber.on_snapshot(self._door.served)
        if concerned and self._door.rejections and self.subscriber.settled:
            self._withdraw()
        if other_names:
            self._look_again()
        return concerned or self._refused is not None

    def push(self) -> None:
        """Send what the newest snapshot brings, or end the stream when it may no longer have what it asked for."""
        if self._refused is not None:
            self._run(self._refuse(self._refused))
        elif not self._sending:
            self._run(self._send())

    async def _take(self, data: bytes) -> None:
        try:
            request = self._variant.read(data)
        except DecodeError as error:
            await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no discovery request: {error}")
        if self.standalone and not request.type_url:
            request = replace(request, type_url=SECRET)  # implied by the service
        if not request.type_url or (self.standalone and request.type_url != SECRET):
            wanted = f"only {SECRET}" if self.standalone else "one type for each request"
            await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the type URL is wrong: this serves {wanted}")
        if request.type_url == SECRET:
            await self._decide(request)
        self.subscriber.on_request(request)
        if self.subscriber.asked > _MOST_ASKED:
            text = f"more than {_MOST_ASKED} names on one stream"
            await self._context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    async def _decide(self, request: Any) -> None:
        door = self._door
        for name in self._variant.names(request):
            decision = self._decided.get(name)
            if decision is None and name != "*":  # all that this socket serves
                decision = self._decided[name] = door.decide(name)
                if len(self._decided) > _MOST_ASKED:
                    self._decided.clear()
                if decision.granted:
                    door.ledger.asked(name, door.clock(), there=door.served.get(SECRET, name) is not None)
            if decision is not None and self._ends_on(decision):
                await self._refuse(decision)

    def _ends_on(self, decision: Decision) -> bool:
        """Whether this refusal ends the stream: there is no other way to tell, and nothing else goes with it."""
        return not decision.granted and self.standalone and not self._variant.refuses

    def _look_again(self) -> None:
        """Decide again about what this client was told."""
        self._refused = None
        for name, before in self._decided.items():
            after = self._decided[name] = self._door.served.decide(name)
            if after.granted != before.granted:
                self._door.on_decision(name, after.granted, after.reason)
            if self._ends_on(after):
                self._refused = after

    async def _refuse(self, decision: Decision) -> None:
        await self._context.abort(status(decision), decision.reason)

    async def _send(self) -> None:
        if self._sending:  # the other one will see what is new
            return
        self._sending = True
        try:
            while responses := self.subscriber.responses():
                for response in responses:
                    await self._context.write(self._variant.write(self._door.encoder, response))
        finally:
            self._sending = False

    def _run(self, sending: Coroutine[Any, Any, None]) -> None:
        if self._pushing is not None:
            self._pushing.cancel()  # not begun, or the stream is to end
        self._pushing = asyncio.get_running_loop().create_task(sending)
        self._pushing.add_done_callback(self._look_at)

    def _look_at(self, push: asyncio.Task[None]) -> None:
        """A push fails when the stream has ended, which its own coroutine sees; all else is a mistake of ours."""
        if push is self._pushing:
            self._pushing = None
        error = None if push.cancelled() else push.exception()
        if error is not None and not isinstance(error, grpc.aio.BaseError):
            push.get_loop().call_exception_handler({"message": "a push failed", "exception": error, "task": push})

    def _note(self) -> None:
        """Tell what the client took and refused."""
        door, subscriber = self._door, self.subscriber
        for response in subscriber.accepted:
            if response.type_url == SECRET:
                door.ledger.acknowledged((each.name for each in response.resources), door.clock())
        subscriber.accepted = ()
        for rejection in subscriber.rejections:
            self.rejections = (*self.rejections, rejection)[-20:]
            door.rejections.append(rejection)
            if rejection.type_url == SECRET:
                door.ledger.rejected(rejection, door.clock())
        if subscriber.rejections:
            subscriber.rejections = ()
            del door.rejections[:-20]
        elif door.rejections and self.subscriber.settled:
            self._withdraw()
        door.on_change()

    def _withdraw(self) -> None:
        """What this client had refused is over. A proxy that is in sync also answers for streams that have ended."""
        ended, self.rejections = self.rejections, ()
        if self.subscriber.in_sync:
            alive = {id(each) for session in self._door.sessions for each in session.rejections}
            ended = tuple(each for each in self._door.rejections if id(each) not in alive)
        over = {id(each) for each in ended}
        self._door.rejections[:] = [each for each in self._door.rejections if id(each) not in over]

    def _end(self) -> None:
        if self.standalone and self.rejections:
            self._withdraw()
        self._door.on_change()
