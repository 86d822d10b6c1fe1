"""A gRPC client of the door, for tests: every method of ADS and SDS, on a channel of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2 as pb
from google.rpc import status_pb2

from handsel.xds.resources import SECRET

_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_SDS = "/envoy.service.secret.v3.SecretDiscoveryService/"


class Stream:
    """One stream. `ack` and `nack` answer the response that was read last."""

    def __init__(self, call, request: type, type_url: str) -> None:
        self.call = call
        self._request = request
        self._type_url = type_url
        self.last = None

    async def ask(self, *names: str, **fields) -> None:
        where = "resource_names" if self._request is pb.DiscoveryRequest else "resource_names_subscribe"
        await self.call.write(self._request(**{"type_url": self._type_url, where: names, **fields}))

    async def read(self):
        self.last = await asyncio.wait_for(self.call.read(), 10)
        assert self.last is not grpc.aio.EOF, await self.ended()
        return self.last

    async def secrets(self) -> dict[str, secret_pb2.Secret]:
        """The secrets of the next response, by name."""
        return {found.name: found for found in map(secret_pb2.Secret.FromString, await self.bodies())}

    async def bodies(self) -> list[bytes]:
        """The bytes of the resources of the next response."""
        response = await self.read()
        return [getattr(each, "resource", each).value for each in response.resources]

    async def ack(self, *names: str, **fields) -> None:
        if isinstance(self.last, pb.DiscoveryResponse):
            fields.setdefault("version_info", self.last.version_info)
        await self.ask(*names, response_nonce=self.last.nonce, **fields)

    async def nack(self, *names: str, text: str = "no") -> None:
        error = status_pb2.Status(code=13, message=text)
        await self.ask(*names, response_nonce=self.last.nonce, error_detail=error)

    async def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing comes for a while. The stream cannot be read afterwards."""
        reading = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait({reading}, timeout=seconds)
        return not done

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the server has ended the stream."""
        return await asyncio.wait_for(self.call.code(), 10), await self.call.details()


class Client:
    """A channel to the socket."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def sotw(self, *, ads: bool = False, type_url: str = SECRET) -> Stream:
        method = f"{_ADS}StreamAggregatedResources" if ads else f"{_SDS}StreamSecrets"
        return self._stream(method, pb.DiscoveryRequest, pb.DiscoveryResponse, type_url)

    def delta(self, *, ads: bool = False, type_url: str = SECRET) -> Stream:
        method = f"{_ADS}DeltaAggregatedResources" if ads else f"{_SDS}DeltaSecrets"
        return self._stream(method, pb.DeltaDiscoveryRequest, pb.DeltaDiscoveryResponse, type_url)

    async def fetch(self, *names: str) -> pb.DiscoveryResponse:
        call = self._channel.unary_unary(
            f"{_SDS}FetchSecrets",
            request_serializer=pb.DiscoveryRequest.SerializeToString,
            response_deserializer=pb.DiscoveryResponse.FromString,
        )
        return await call(pb.DiscoveryRequest(resource_names=names), timeout=10)

    def _stream(self, method: str, request: type, response: type, type_url: str) -> Stream:
        call = self._channel.stream_stream(
            method, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )()
        return Stream(call, request, type_url)


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
        yield Client(channel)
