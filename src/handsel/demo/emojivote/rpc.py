"""gRPC in both directions, without generated stubs: `serve` for emoji and voting, `call` for web."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from handsel.demo.emojivote import emojivote_pb2 as pb

Question = TypeVar("Question", bound=Message)
Answer = TypeVar("Answer", bound=Message)

_TIMEOUT_SECONDS = 2
_SERVER_OPTIONS = (("grpc.so_reuseport", 0),)  # a port that is taken is an error, never shared
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # the address is all that is needed
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),  # in truth: how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 500),
)


@dataclass(frozen=True)
class Method(Generic[Question, Answer]):
    """One method of a service."""

    service: str
    name: str
    question: type[Question]
    answer: type[Answer]


LIST_ALL = Method("EmojiService", "ListAll", pb.ListAllRequest, pb.ListAllResponse)
FIND = Method("EmojiService", "FindByShortcode", pb.FindByShortcodeRequest, pb.FindByShortcodeResponse)
VOTE = Method("VotingService", "Vote", pb.VoteRequest, pb.VoteResponse)
RESULTS = Method("VotingService", "Results", pb.ResultsRequest, pb.ResultsResponse)


class CallFailed(Exception):
    """A call ended with an error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def connect(address: str) -> grpc.aio.Channel:
    """A channel to host:port. It connects when it is first used, and again whenever that is needed."""
    return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)


async def call(channel: grpc.aio.Channel, method: Method[Question, Answer], question: Question) -> Answer:
    """Ask, and wait for the answer. Raises `CallFailed`."""
    ask = channel.unary_unary(
        f"/emojivote.v1.{method.service}/{method.name}",
        request_serializer=method.question.SerializeToString,
        response_deserializer=method.answer.FromString,
    )
    try:
        answer: Answer = await ask(question, timeout=_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise CallFailed(error.code(), f"{method.service}: {error.details()}") from error
    return answer


def serve(handlers: Mapping[Method[Any, Any], Callable[[Any, grpc.ServicerContext], Any]]) -> None:
    """Answer calls on `PORT` until SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = grpc.server(ThreadPoolExecutor(), options=_SERVER_OPTIONS)
    for method, handler in handlers.items():
        server.add_generic_rpc_handlers((_generic_handler(method, handler),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    stopped.wait()
    server.stop(grace=1).wait()


def _generic_handler(
    method: Method[Any, Any], handler: Callable[[Any, grpc.ServicerContext], Any]
) -> grpc.GenericRpcHandler[Any, Any]:
    unary = grpc.unary_unary_rpc_method_handler(
        handler,
        request_deserializer=method.question.FromString,
        response_serializer=method.answer.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(f"emojivote.v1.{method.service}", {method.name: unary})
