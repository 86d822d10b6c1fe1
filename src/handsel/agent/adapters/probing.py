"""Asking a program of the pod what the kubelet would have asked, over loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import grpc.aio
import httpx2

from handsel.agent import probes
from handsel.agent.probes import Grpc, HttpGet, Probe, TcpSocket
from handsel.door.asgi import TEXT, Response
from handsel.model.pod import STATUS_PORT

_HEALTH = "/grpc.health.v1.Health/Check"
# The program is next to us, whatever a variable says of proxies.
_CHANNEL = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 1024))
_NO_ANSWER = 500


class Prober:
    """Carries out probes. Answers 500 with the reason for what gets no answer, as Istio's agent does."""

    def __init__(self) -> None:
        self._client = httpx2.AsyncClient(
            verify=_unverified(), trust_env=False, follow_redirects=False, timeout=None,  # each probe has its own
        )  # fmt: skip

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, probe: Probe, headers: Mapping[str, str]) -> Response:
        """What the program answers. `headers`: those that the kubelet sent."""
        try:
            async with asyncio.timeout(probe.seconds):
                return await self._ask(probe.action, headers)
        except TimeoutError:
            return _failed(f"the program did not answer within {probe.seconds:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return _failed(f"the program cannot be asked: {error}")
        except grpc.aio.AioRpcError as error:
            return _failed(f"the program's health cannot be asked: {error.code().name} {error.details() or ''}")

    async def _ask(self, action: HttpGet | TcpSocket | Grpc, headers: Mapping[str, str]) -> Response:
        match action:
            case HttpGet():
                return await self._get(action, headers)
            case TcpSocket():
                _, writer = await asyncio.open_connection("127.0.0.1", action.port)
                writer.close()
                return Response(200)
            case Grpc():
                return await _check_health(action)

    async def _get(self, action: HttpGet, headers: Mapping[str, str]) -> Response:
        sent = probes.handed_on(headers, action.port, STATUS_PORT)
        url = action.url
        for _ in range(probes.MOST_REDIRECTS + 1):
            async with self._client.stream("GET", url, headers=sent) as answer:
                further = probes.next_url(url, sent["host"], answer.headers.get("location", ""))
                if not answer.is_redirect or further is None:
                    return await _handed_back(answer)
            url = further
        return _failed(f"the program redirects more than {probes.MOST_REDIRECTS} times")


async def _handed_back(answer: httpx2.Response) -> Response:
    """Status and the beginning of the body, as it was sent."""
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) >= probes.LARGEST_BODY:
            break
    status = answer.status_code if 200 <= answer.status_code < 600 else _NO_ANSWER
    return Response(status, body[: probes.LARGEST_BODY], answer.headers.get("content-type", TEXT))


async def _check_health(action: Grpc) -> Response:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{action.port}", options=_CHANNEL) as channel:
        call = channel.unary_unary(_HEALTH, request_serializer=None, response_deserializer=None)
        said: bytes = await call(action.request())
    return Response(200) if said == probes.SERVING else _failed("the program says that it is not serving")


def _failed(why: str) -> Response:
    return Response(_NO_ANSWER, f"{why}\n".encode())


def _unverified() -> ssl.SSLContext:
    """Of a program that is asked by its own kubelet, which verifies nothing either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
