"""The two variants of xDS as protobuf: requests read, responses written once for all streams that get the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as pb
from google.protobuf import any_pb2

from handsel.xds import sotw, stream
from handsel.xds.names import Decision, Denial, Served
from handsel.xds.resources import SECRET, Resource
from handsel.xds.snapshot import Snapshot
from handsel.xds.subscriber import Subscriber

_MOST_KEPT = 64


class Encoder:
    """Writes responses and keeps them: only the nonce differs from stream to stream.

    It lasts as long as what is `served`: keys of secrets are in what it keeps.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._kept: dict[object, bytes] = {}

    def delta(self, response: stream.Response) -> bytes:
        """A `DeltaDiscoveryResponse`."""
        key = (response.type_url, _versions(response.resources), response.removed)
        body = self._kept.get(key) or self._keep(
            key,
            pb.DeltaDiscoveryResponse(
                type_url=response.type_url,
                resources=[pb.Resource(name=r.name, version=r.version, resource=_any(r)) for r in response.resources],
                removed_resources=response.removed,
                resource_errors=self._errors(response),
            ),
        )
        return body + _nonce(response.nonce)

    def sotw(self, response: sotw.Response) -> bytes:
        """A `DiscoveryResponse`."""
        key = (response.type_url, response.version)
        body = self._kept.get(key) or self._keep(
            key,
            pb.DiscoveryResponse(
                type_url=response.type_url,
                version_info=response.version,
                resources=[_any(each) for each in response.resources],
            ),
        )
        return body + _nonce(response.nonce)

    def _errors(self, response: stream.Response) -> list[pb.ResourceError]:
        """Why names are absent, for those that are refused (gRFC A88; Envoy takes note of `removed_resources` only)."""
        decisions = [self._served.decide(name) for name in response.removed] if response.type_url == SECRET else []
        return [
            pb.ResourceError(
                resource_name=pb.ResourceName(name=each.name),
                error_detail={"code": status(each).value[0], "message": each.reason},
            )
            for each in decisions
            if not each.granted
        ]

    def _keep(self, key: object, message: pb.DeltaDiscoveryResponse | pb.DiscoveryResponse) -> bytes:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        body = self._kept[key] = bytes(message.SerializeToString())
        return body


@dataclass(frozen=True)
class Variant:
    """How a variant is read, kept and written. `names` are those that a request asks for, anew as far as it says.

    One that `refuses` can say of a name that it is refused; in the other only the end of the stream says so.
    """

    begin: Callable[[Snapshot, bool], Subscriber]
    read: Callable[[bytes], Any]
    names: Callable[[Any], Sequence[str]]
    write: Callable[[Encoder, Any], bytes]
    refuses: bool


def status(decision: Decision) -> grpc.StatusCode:
    """What gRPC calls this refusal."""
    return grpc.StatusCode.PERMISSION_DENIED if decision.denial is Denial.FORBIDDEN else grpc.StatusCode.NOT_FOUND


def read_delta(data: bytes) -> stream.Request:
    """A `DeltaDiscoveryRequest`. Raises `DecodeError`."""
    message = pb.DeltaDiscoveryRequest.FromString(data)
    return stream.Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
    )


def read_sotw(data: bytes) -> sotw.Request:
    """A `DiscoveryRequest`. Raises `DecodeError`."""
    message = pb.DiscoveryRequest.FromString(data)
    return sotw.Request(
        type_url=message.type_url,
        names=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


DELTA = Variant(
    lambda snapshot, standalone: stream.DeltaStream(snapshot, patient=standalone),
    read_delta,
    lambda request: request.subscribe,
    Encoder.delta,
    refuses=True,
)
SOTW = Variant(
    lambda snapshot, standalone: sotw.SotwStream(snapshot, trusted=standalone),
    read_sotw,
    lambda request: request.names,
    Encoder.sotw,
    refuses=False,
)


def _nonce(nonce: str) -> bytes:
    """Field 5 of both responses. Messages that are put end to end are one message (Protocol Buffers, "Encoding")."""
    return b"\x2a%c%b" % (len(nonce), nonce.encode())


def _any(resource: Resource) -> any_pb2.Any:
    return any_pb2.Any(type_url=resource.type_url, value=resource.body)


def _versions(resources: Sequence[Resource]) -> tuple[tuple[str, str], ...]:
    return tuple((each.name, each.version) for each in resources)
