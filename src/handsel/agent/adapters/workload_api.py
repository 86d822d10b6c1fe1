"""The SPIFFE Workload API on a workload's own socket: who may open it is who is asked for.

Each stream is a coroutine of its own, which keeps nothing but what it sent last: one that never reads holds up nobody,
and gets the newest when it reads again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection, reflection_pb2

from handsel.agent import jwt, workload
from handsel.agent.adapters.workload import workload_pb2 as wire
from handsel.agent.jwt import Kept
from handsel.agent.model import Holdings
from handsel.errors import HandselError, NotAuthorised, Refused, Unreachable, UsageError
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.pki.names import SpiffeId

SERVICE = "SpiffeWorkloadAPI"
HEADER = "workload.spiffe.io"
"""Workload Endpoint, section 6: a browser that was led astray cannot set it."""
_AT_ONCE = 8
"""Tokens that one workload may have in the making."""
_STATUS: Mapping[type[HandselError], grpc.StatusCode] = {
    NotAuthorised: grpc.StatusCode.PERMISSION_DENIED,
    Unreachable: grpc.StatusCode.UNAVAILABLE,
    UsageError: grpc.StatusCode.INVALID_ARGUMENT,
}

_Context = grpc.aio.ServicerContext[Any, Any]
FetchJwt = Callable[[JwtRequest], Awaitable[JwtResponse]]


class Held(Protocol):
    """What the agent holds at this moment."""

    def __call__(self) -> Holdings: ...


class WorkloadApi:
    """The service of one workload. `notify` it of each change of what is held; `fetch` asks the server for a token."""

    def __init__(
        self, service: str, held: Held, fetch: FetchJwt, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._service = service
        self._held = held
        self._fetch = fetch
        self._now = now
        self._kept = Kept()
        self._asking = asyncio.Semaphore(_AT_ONCE)
        self._making: dict[frozenset[str], asyncio.Task[JwtResponse]] = {}
        self._newer = asyncio.Event()

    def notify(self) -> None:
        """Something that is held may have changed."""
        self._newer.set()
        self._newer = asyncio.Event()  # every stream waits for the event of its own round

    def handlers(self) -> tuple[grpc.GenericRpcHandler[Any, Any], ...]:
        """The service, and the reflection that says that it is here (Workload Endpoint, section 7)."""
        methods = {
            "FetchX509SVID": _stream(wire.X509SVIDRequest, self._watching(self._x509_svids)),
            "FetchX509Bundles": _stream(wire.X509BundlesRequest, self._watching(self._x509_bundles)),
            "FetchJWTBundles": _stream(wire.JWTBundlesRequest, self._watching(self._jwt_bundles)),
            "FetchJWTSVID": _unary(wire.JWTSVIDRequest, self._jwt_svids),
            "ValidateJWTSVID": _unary(wire.ValidateJWTSVIDRequest, self._validate),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods), _reflection()

    # What a stream says, whole each time

    def _x509_svids(self, holdings: Holdings) -> Message:
        svid = workload.x509_svid(self._service, holdings, self._now())
        told = wire.X509SVID(
            spiffe_id=str(svid.spiffe_id), x509_svid=svid.chain, x509_svid_key=svid.key.reveal(), bundle=svid.bundle
        )
        federated = workload.x509_bundles(self._service, holdings, own=False)
        return wire.X509SVIDResponse(svids=[told], crl=holdings.crls, federated_bundles=federated)

    def _x509_bundles(self, holdings: Holdings) -> Message:
        bundles = workload.x509_bundles(self._service, holdings, own=True)
        return wire.X509BundlesResponse(crl=holdings.crls, bundles=bundles)

    def _jwt_bundles(self, holdings: Holdings) -> Message:
        return wire.JWTBundlesResponse(bundles=workload.jwt_bundles(self._service, holdings))

    def _watching(self, tell: Callable[[Holdings], Message]) -> Callable[[Any, _Context], AsyncIterator[bytes]]:
        """A stream: what is told now, then again whenever that is something else."""

        async def stream(_request: Message, context: _Context) -> AsyncIterator[bytes]:
            await _check_header(context)
            last = b""
            while True:
                newer = self._newer
                try:
                    told = tell(self._held()).SerializeToString(deterministic=True)
                except Unreachable as error:
                    # What was told before ends as it says; a stream that knows nothing yet may come again.
                    told = last or await _abort(context, error)
                except HandselError as error:
                    await _abort(context, error)
                if told != last:
                    yield told
                    last = told
                await newer.wait()

        return stream

    # One question, one answer

    async def _jwt_svids(self, request: Any, context: _Context) -> Message:
        await _check_header(context)
        try:
            identity = workload.identity_of(self._service, self._held())
            audiences = jwt.check_audiences(request.audience)
            _check_asked(request.spiffe_id, identity)
            token = self._kept.of(audiences, self._now()) or await self._make(audiences)
        except HandselError as error:
            await _abort(context, error)
        return wire.JWTSVIDResponse(svids=[wire.JWTSVID(spiffe_id=str(identity), svid=token.token)])

    async def _make(self, audiences: tuple[str, ...]) -> JwtResponse:
        """A new token; of several who want the same one, one asks, and goes on when another has left."""
        key = frozenset(audiences)
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._ask(audiences))
            self._making[key].add_done_callback(lambda made: self._made(key, made))
        return await asyncio.shield(self._making[key])

    def _made(self, key: frozenset[str], made: asyncio.Task[JwtResponse]) -> None:
        self._making.pop(key, None)
        if not made.cancelled():
            made.exception()  # seen, also when whoever asked has left

    async def _ask(self, audiences: tuple[str, ...]) -> JwtResponse:
        async with self._asking:
            token = await self._fetch(JwtRequest(self._service, audiences))
        self._kept = self._kept.having(audiences, token, self._now())
        return token

    async def _validate(self, request: Any, context: _Context) -> Message:
        await _check_header(context)
        try:
            bundles = workload.jwt_bundles(self._service, self._held())
        except HandselError as error:
            await _abort(context, error)
        try:
            subject, claims = jwt.validate(request.svid, request.audience, bundles, self._now())
        except Refused as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = wire.ValidateJWTSVIDResponse(spiffe_id=str(subject))
        answer.claims.update(claims)
        return answer


def _check_asked(spiffe_id: str, identity: SpiffeId) -> None:
    """Raises `UsageError` for a name that is none, `NotAuthorised` for somebody else's."""
    try:
        asked = SpiffeId.parse(spiffe_id) if spiffe_id else identity
    except ValueError as error:
        raise UsageError(str(error)) from error
    if asked != identity:
        raise NotAuthorised(f"this workload is not {asked}")


async def _check_header(context: _Context) -> None:
    said = [value for name, value in context.invocation_metadata() or () if name == HEADER]
    if said != ["true"]:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the metadata {HEADER}: true is missing")


async def _abort(context: _Context, error: HandselError) -> NoReturn:
    kinds = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    # What the server refuses is not given to this workload; anything else is no fault of whoever asks.
    refused = grpc.StatusCode.PERMISSION_DENIED if isinstance(error, Refused) else grpc.StatusCode.UNAVAILABLE
    await context.abort(next(kinds, refused), f"{error.code} {error}")
    raise AssertionError  # `abort` has raised


def _stream(request: type[Message], answer: Callable[[Any, _Context], AsyncIterator[bytes]]) -> Any:
    return grpc.unary_stream_rpc_method_handler(answer, request_deserializer=request.FromString)


def _unary(request: type[Message], answer: Callable[[Any, _Context], Awaitable[Message]]) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )


def _reflection() -> grpc.GenericRpcHandler[Any, Any]:
    servicer = reflection.aio.ReflectionServicer((SERVICE, reflection.SERVICE_NAME))  # type: ignore[attr-defined]  # it is in `__all__`
    methods = {
        "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    }
    return grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, methods)
