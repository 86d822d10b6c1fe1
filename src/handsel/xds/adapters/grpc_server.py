"""The ADS server of one workload: a gRPC server on a Unix socket of its own. The socket is the identity.

One coroutine a stream: it sends what the state machine gives, then waits for the next request or the next snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from handsel.errors import StateError
from handsel.xds.snapshot import EMPTY, Snapshot
from handsel.xds.stream import DeltaStream, Rejected, Request, Response

_METHOD = "DeltaAggregatedResources"
_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_OPTIONS = (
    # A burst of streams must not be ended silently (defaults: 1,000 and 3,000).
    ("grpc.server.max_pending_requests", 10**6),
    ("grpc.server.max_pending_requests_hard_limit", 10**6),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),
)


class AdsServer:
    """Serves one snapshot, and every newer one, to whoever may open the socket at `path` (mode 0600).

    `on_change` is called after each ACK, NACK, connect and disconnect.
    """

    def __init__(self, path: Path, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._on_change = on_change
        self.snapshot = EMPTY
        self._streams: set[DeltaStream] = set()
        self._newer = asyncio.Event()
        self._server = grpc.aio.server(options=_OPTIONS)
        self.rejections: list[Rejected] = []

    async def start(self) -> None:
        """Listen. Raises `StateError` when the socket cannot be made."""
        handlers = {
            _METHOD: grpc.stream_stream_rpc_method_handler(
                self._serve_stream,
                request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
                response_serializer=_serialise,
            )
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(f"unix:{self.path}")  # plain: only the owner can open the socket
            await self._server.start()
        except RuntimeError as error:
            raise StateError(f"the socket {self.path} cannot be made: {error}") from error
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """End every stream, then listen no more."""
        await self._server.stop(grace=0.2)
        self.path.unlink(missing_ok=True)

    def publish(self, snapshot: Snapshot) -> None:
        """Serve this snapshot from now on."""
        self.snapshot = snapshot
        for stream in self._streams:
            stream.on_snapshot(snapshot)
        self._wake()

    @property
    def connected(self) -> bool:
        """Whether an Envoy is connected."""
        return bool(self._streams)

    @property
    def in_sync(self) -> bool:
        """Whether every connected Envoy has acknowledged the newest snapshot, and there is one."""
        return bool(self._streams) and all(stream.in_sync for stream in self._streams)

    def has(self, type_url: str, name: str, version: str) -> bool:
        """Whether every connected Envoy has acknowledged this version of a resource."""
        return bool(self._streams) and all(stream.has(type_url, name, version) for stream in self._streams)

    async def _serve_stream(
        self,
        _requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest],  # read through the context instead
        context: grpc.aio.ServicerContext[discovery_pb2.DeltaDiscoveryRequest, Response],
    ) -> None:
        stream = DeltaStream(self.snapshot)
        self._streams.add(stream)
        reading: asyncio.Task[object] | None = None
        try:
            while True:
                for response in stream.responses():
                    await context.write(response)
                self._note(stream)
                newer = asyncio.ensure_future(self._newer.wait())
                reading = reading or asyncio.ensure_future(context.read())
                await asyncio.wait({newer, reading}, return_when=asyncio.FIRST_COMPLETED)
                newer.cancel()
                if reading.done():
                    message = reading.result()
                    reading = None
                    if not isinstance(message, discovery_pb2.DeltaDiscoveryRequest):
                        return  # grpc.aio.EOF: the client has ended its half
                    stream.on_request(_request(message))
        finally:
            if reading is not None:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
            self._streams.discard(stream)
            self._on_change()

    def _note(self, stream: DeltaStream) -> None:
        if stream.rejections:
            self.rejections.extend(stream.rejections)
            del self.rejections[:-20]
            stream.rejections.clear()
        elif stream.in_sync:
            self.rejections.clear()
        self._on_change()

    def _wake(self) -> None:
        # Every waiter holds the event of its own round.
        self._newer.set()
        self._newer = asyncio.Event()


def _request(message: discovery_pb2.DeltaDiscoveryRequest) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
    )


def _serialise(response: Response) -> bytes:
    message = discovery_pb2.DeltaDiscoveryResponse(
        type_url=response.type_url,
        nonce=response.nonce,
        resources=[
            discovery_pb2.Resource(
                name=each.name,
                version=each.version,
                resource=any_pb2.Any(type_url=each.type_url, value=each.body),
            )
            for each in response.resources
        ],
        removed_resources=response.removed,
    )
    return bytes(message.SerializeToString())
