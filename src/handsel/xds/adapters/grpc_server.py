"""The door of one workload: ADS, SDS and what else it is given, on a Unix socket. The socket is the identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from handsel.xds.adapters.listener import Listener
from handsel.xds.adapters.session import Context, Door, Session
from handsel.xds.adapters.wire import DELTA, SOTW, Variant, read_sotw, status
from handsel.xds.facts import SecretFacts
from handsel.xds.names import Names
from handsel.xds.resources import SECRET
from handsel.xds.snapshot import EMPTY, Snapshot
from handsel.xds.sotw import Response, version_of
from handsel.xds.subscriber import Rejected, Subscriber

_ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_SDS = "envoy.service.secret.v3.SecretDiscoveryService"
_GRACE_SECONDS = 0.2
_FOR_EVER_SECONDS = 10.0**8


class AdsServer:
    """Serves one snapshot, and every newer one, to whoever may open the socket at `path` (`mode`, `owner`).

    `names` says under which names secrets are had and which are refused; without it they have their own, and only what
    the snapshot has is served. `services` are other gRPC services on the same socket. `on_change` is called after each
    ACK, NACK and disconnect, `on_decision(name, granted, reason)` for each refusal and for the first grant of a name on
    a stream. By delta a refused name is answered as absent, with the reason. By state of the world nothing can be said
    of it: a stream of SDS ends with the reason, one of ADS goes on without it.
    """

    def __init__(
        self,
        path: Path,
        *,
        names: Names | None = None,
        services: Sequence[grpc.GenericRpcHandler[Any, Any]] = (),
        mode: int = 0o600,
        owner: tuple[int, int] | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_decision: Callable[[str, bool, str], None] = lambda _name, _granted, _reason: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.snapshot = EMPTY
        self._names = names
        self._mode, self._owner = mode, owner
        self._door = Door(clock, on_change, on_decision)
        self._door.served = self._door.served.after(EMPTY, names)
        self._handlers = (*self._own(), *services)
        self._listener = self._listen()
        self._retired: dict[asyncio.Task[None], Listener] = {}

    async def start(self) -> None:
        """Listen. Raises `StateError` when the socket cannot be made."""
        await self._listener.start()

    async def stop(self) -> None:
        """End every stream, then listen no more."""
        await asyncio.gather(*(each.stop(_GRACE_SECONDS) for each in (self._listener, *self._retired.values())))

    async def heal(self) -> bool:
        """Listen again when the socket is gone from its path or another lies there. Whether that was so.

        Streams that are open go on; their connections take no new ones. Raises `StateError` as `start` does.
        """
        if self._listener.is_there:
            return False
        listener = self._listen()
        await listener.start()
        retiring = asyncio.create_task(self._listener.stop(_FOR_EVER_SECONDS))
        self._retired[retiring] = self._listener
        retiring.add_done_callback(self._retired.pop)
        self._listener = listener
        return True

    def publish(self, snapshot: Snapshot, names: Names | None = None) -> None:
        """Serve this snapshot from now on, and these names; without them, those of before."""
        other_names = names is not None and names != self._names
        if other_names:
            self._names = names
        self.snapshot = snapshot
        self._door.publish(self._door.served.after(snapshot, self._names), other_names=other_names)

    @property
    def rejections(self) -> list[Rejected]:
        """The newest refusals that are not settled yet."""
        return self._door.rejections

    @property
    def connected(self) -> bool:
        """Whether an Envoy is connected by ADS."""
        return any(not each.standalone for each in self._door.sessions)

    @property
    def in_sync(self) -> bool:
        """Whether every connected proxy has acknowledged the newest snapshot, and there is one."""
        proxies = [each.subscriber for each in self._door.sessions if each.subscriber.is_proxy]
        return bool(proxies) and all(each.in_sync for each in proxies)

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether every client by ADS that takes this type has acknowledged this version of a resource."""
        takers = [each for each in self._by_ads() if each.wants(type_url)]
        return bool(takers) and all(each.has(type_url, name, version) for each in takers)

    def secrets(self) -> tuple[SecretFacts, ...]:
        """What is known of each secret that was asked for on this socket, on whatever stream."""
        return self._door.ledger.facts(self._door.served, (each.subscriber for each in self._door.sessions))

    def _by_ads(self) -> list[Subscriber]:
        return [each.subscriber for each in self._door.sessions if not each.standalone]

    def _listen(self) -> Listener:
        return Listener(self.path, self._handlers, mode=self._mode, owner=self._owner)

    def _own(self) -> list[grpc.GenericRpcHandler[Any, Any]]:
        ads = {
            "StreamAggregatedResources": self._stream(SOTW, standalone=False),
            "DeltaAggregatedResources": self._stream(DELTA, standalone=False),
        }
        sds = {
            "StreamSecrets": self._stream(SOTW, standalone=True),
            "DeltaSecrets": self._stream(DELTA, standalone=True),
            "FetchSecrets": grpc.unary_unary_rpc_method_handler(self._fetch),
        }
        return [grpc.method_handlers_generic_handler(_ADS, ads), grpc.method_handlers_generic_handler(_SDS, sds)]

    def _stream(self, variant: Variant, *, standalone: bool) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def serve(_requests: object, context: Context) -> None:  # requests are read through the context instead
            await Session(self._door, context, variant, standalone=standalone).serve()

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _fetch(self, data: bytes, context: Context) -> bytes:
        """The secrets of a `DiscoveryRequest`, once."""
        try:
            names = read_sotw(data).names
        except DecodeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no discovery request: {error}")
        door = self._door
        if not names:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "name the secrets to fetch")
        for name in names:
            decision = door.decide(name)
            if not decision.granted:
                await context.abort(status(decision), decision.reason)
        found = {name: door.served.get(SECRET, name) for name in names}
        there = {name: resource for name, resource in found.items() if resource is not None}
        if missing := sorted(found.keys() - there.keys()):
            text = f"{', '.join(missing[:8])}: granted, but not there yet; ask again"
            await context.abort(grpc.StatusCode.UNAVAILABLE, text)
        response = Response(SECRET, "", version_of(there), tuple(there[name] for name in sorted(there)))
        return door.encoder.sotw(response)
