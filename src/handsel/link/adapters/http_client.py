"""The agent's side of the link: unary calls and the watch, over HTTPS with mutual TLS."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

from handsel.errors import HandselError, NotAuthorised, ProtocolError, Refused, TicketRefused, Unreachable, UsageError
from handsel.link.joining import Challenge, JoinRequest, JoinResponse, RecoverRequest
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import (
    PREFIX,
    VERSION,
    VERSION_HEADER,
    Chain,
    Frame,
    RenewRequest,
    SignBatchRequest,
    SignBatchResponse,
)
from handsel.link.report import Report
from handsel.link.secrets import SecretsRequest, SecretsResponse
from handsel.pki.certificate import Certificate, parse_pem, to_pem
from handsel.pki.names import TrustDomain

_TIMEOUT = httpx2.Timeout(10.0)
# A ping comes every 15 s: three missed ones mean that the server is gone.
_WATCH_TIMEOUT = httpx2.Timeout(10.0, read=45.0)
_LONGEST_REFUSAL = 1000
_MAXIMUM_FRAME = _LARGEST_ANSWER = 16 << 20


class LinkClient:
    """A connection to the server at `url`, which must prove to be the trust domain's server.

    `others` are addresses of servers of the same authority: when one cannot be reached, the next one is asked, and then
    stayed with. What was sent once is not sent again: whoever asked may not know what became of it.

    `certificate` is a pair of files, chain and key; without it only `join` and `recover` are allowed. `roots` None: the
    server cannot be checked yet, and what comes is believed only when it proves itself (see `handsel.link.ticket`).
    """

    def __init__(
        self,
        url: str,
        trust_domain: TrustDomain,
        roots: Sequence[Certificate] | None,
        certificate: tuple[Path, Path] | None = None,
        *,
        others: Sequence[str] = (),
    ) -> None:
        self._urls = [_checked(each) for each in (url, *others)]
        self._asked = 0
        # The name is checked at any address: the server's certificate carries it, and nobody else's may.
        self._extensions = {"sni_hostname": trust_domain.server_dns}
        self._client = httpx2.AsyncClient(
            verify=_unchecked_context() if roots is None else _context(roots, certificate),
            timeout=_TIMEOUT,
            trust_env=False,
            headers={VERSION_HEADER: VERSION, "content-type": "application/x-protobuf"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def challenge(self) -> tuple[str, bytes]:
        """A challenge, and the SHA-256 of the certificate that the server showed on this client's connection."""
        async with self._ask("GET", "challenge") as response:
            body = await _read_limited(response)
            stream = response.extensions["network_stream"].get_extra_info("ssl_object")
            seen = hashlib.sha256(stream.getpeercert(True)).digest()
        if response.status_code == httpx2.codes.NOT_FOUND:
            raise ProtocolError("the server is older than this host: it knows no challenge")
        if response.status_code != httpx2.codes.OK:
            raise _refusal(response.status_code, body)
        return Challenge.decode(body).challenge, seen

    async def join(self, request: JoinRequest) -> JoinResponse:
        return JoinResponse.decode(await self._post("join", request.encode(), elsewhere=False))

    async def recover(self, request: RecoverRequest) -> Chain:
        return Chain.decode(await self._post("recover", request.encode(), elsewhere=False))

    async def renew(self, request: RenewRequest) -> Chain:
        return Chain.decode(await self._post("renew", request.encode()))

    async def sign_batch(self, request: SignBatchRequest) -> SignBatchResponse:
        return SignBatchResponse.decode(await self._post("sign-batch", request.encode()))

    async def jwt(self, request: JwtRequest) -> JwtResponse:
        return JwtResponse.decode(await self._post("jwt", request.encode()))

    async def secrets(self, request: SecretsRequest) -> SecretsResponse | None:
        """Values, or None: the server, which has proved who it is, gives this host nothing any more."""
        async with self._ask("POST", "secrets", content=request.encode()) as response:
            answer = await _read_limited(response)
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            return None
        if response.status_code != httpx2.codes.OK:
            raise _refusal(response.status_code, answer)
        return SecretsResponse.decode(answer)

    async def ocsp(self, request: bytes) -> bytes:
        """An OCSP answer (RFC 6960), both DER."""
        return await self._post("ocsp", request)

    async def report(self, report: Report) -> None:
        await self._post("report", report.encode())

    async def watch(self, since: int) -> AsyncIterator[Frame]:
        """Frames after `since`, pings included, until the server ends. Raises `Unreachable` when it breaks off."""
        async with self._ask("GET", f"watch?since={since}", timeout=_WATCH_TIMEOUT) as response:
            if response.status_code != httpx2.codes.OK:
                raise _refusal(response.status_code, await _read_limited(response))
            buffer = bytearray()
            async for piece in response.aiter_raw():
                buffer += piece
                for frame in _take_frames(buffer):
                    yield frame

    @contextlib.asynccontextmanager
    async def _ask(
        self, method: str, call: str, *, elsewhere: bool = True, **options: Any
    ) -> AsyncIterator[httpx2.Response]:
        """The answer of the first server that can be reached; `elsewhere` False: of the one that was asked last."""
        for others_left in reversed(range(len(self._urls) if elsewhere else 1)):
            at = self._asked
            url = f"{self._urls[at]}{PREFIX}/{call}"
            try:
                async with self._client.stream(method, url, extensions=self._extensions, **options) as response:
                    if response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
                        self._leave(at)
                    yield response
                    return
            except (httpx2.HTTPError, OSError) as error:
                self._leave(at)
                if not (others_left and isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)):
                    raise _unreachable(self._urls[at], error) from error

    def _leave(self, at: int) -> None:
        """The next server is asked from now on, unless somebody saw to that already."""
        if self._asked == at:
            self._asked = (at + 1) % len(self._urls)

    async def _post(self, call: str, body: bytes, *, elsewhere: bool = True) -> bytes:
        async with self._ask("POST", call, elsewhere=elsewhere, content=body) as response:
            answer = await _read_limited(response)
        if response.status_code != httpx2.codes.OK:
            raise _refusal(response.status_code, answer)
        return answer


async def fetch_pinned_roots(url: str, pins: Sequence[str]) -> tuple[Certificate, ...]:
    """The authority's roots, accepted only when their keys are among `pins`: for hosts that join without a ticket.

    The first connection to a server that we cannot verify yet: nothing is sent that must stay secret, and nothing is
    believed that does not fit the pins. Raises `TicketRefused` when it does not.
    """
    server = _checked(url)
    try:
        async with (
            httpx2.AsyncClient(verify=_unchecked_context(), timeout=_TIMEOUT, trust_env=False) as client,
            client.stream("GET", f"{server}{PREFIX}/roots") as response,
        ):
            content = await _read_limited(response)
        if response.status_code != httpx2.codes.OK:
            raise ProtocolError(f"{url} did not answer with its roots (status {response.status_code})")
        roots = parse_pem(content)
    except (httpx2.HTTPError, OSError) as error:
        raise _unreachable(url, error) from error
    except ValueError as error:
        raise ProtocolError(f"{url} did not answer with certificates: {error}") from error
    trusted = tuple(root for root in roots if root.pin in pins)
    if not trusted:
        raise TicketRefused(
            f"the server at {url} is another one: its key does not fit the pin",
            next_step="check the address, and that nobody sits between; then the pin",
        )
    return trusted


def _checked(url: str) -> str:
    """The address without a slash at its end. Raises `UsageError` when it is none, since httpx2 would fail late."""
    try:
        parsed = httpx2.URL(url)
        is_address = parsed.scheme == "https" and parsed.host and (parsed.port or 443) <= 65535
    except httpx2.InvalidURL:
        is_address = False
    if not is_address:
        raise UsageError(f"{url!r} is no address of a server", next_step="write it as https://host:port")
    return url.rstrip("/")


def _context(roots: Sequence[Certificate], certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=to_pem(tuple(roots)).decode())
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def _unchecked_context() -> ssl.SSLContext:
    """For a first contact: what comes is checked afterwards, by a pin or by the proof of a ticket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _read_limited(response: httpx2.Response) -> bytes:
    """The body. Raises `ProtocolError` when it is too large."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _LARGEST_ANSWER:
            raise ProtocolError(f"an answer has at most {_LARGEST_ANSWER} bytes")
    return bytes(body)


def _take_frames(buffer: bytearray) -> list[Frame]:
    """The whole frames at the start of the buffer, which are taken out of it."""
    frames = []
    while len(buffer) >= 4:
        length = int.from_bytes(buffer[:4], "big")
        if length > _MAXIMUM_FRAME:
            raise ProtocolError(f"a frame of {length} bytes is larger than the limit of {_MAXIMUM_FRAME}")
        if len(buffer) < 4 + length:
            break
        frames.append(Frame.decode(bytes(buffer[4 : 4 + length])))
        del buffer[: 4 + length]
    return frames


def _unreachable(url: str, error: Exception) -> HandselError:
    if isinstance(error.__context__, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotAuthorised(
            f"{url} is not the server of this trust domain: {error}",
            next_step="check the address; if the authority was made anew, join again with a new ticket",
        )
    return Unreachable(f"{url} does not answer: {error or type(error).__name__}", next_step="is the server running?")


def _refusal(status: int, body: bytes) -> HandselError:
    text = body[:_LONGEST_REFUSAL].decode(errors="replace")
    text, _, next_step = text.partition("\n")
    code, _, message = text.partition(" ")
    kinds: dict[str, type[HandselError]] = {Refused.code: Refused, TicketRefused.code: TicketRefused}
    if code in kinds:
        return kinds[code](message, next_step=next_step)
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        return NotAuthorised(text, next_step=next_step)
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return Unreachable(f"the server failed: {text}")
    return ProtocolError(f"the server answered {status}: {text}")
