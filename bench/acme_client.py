"""A small ACME client with kept connections, for load: account, order, http-01, finalize, download."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from handsel.acme.jws import encode, key_authorization, read_key
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names

_TRIES = 200


class Responder:
    """Answers http-01 for every client on one port."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}

    async def serve(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._answer, "127.0.0.1", port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = self.answers.get(head.split(b" ", 2)[1].decode().rpartition("/")[2], "")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
            await writer.drain()
        finally:
            writer.close()


@dataclass
class Client:
    """One account. `issue` gives how long one certificate took, in seconds."""

    directory_url: str
    context: ssl.SSLContext
    responder: Responder
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    _kid: str | None = None
    _nonce: str | None = None
    _directory: dict[str, Any] = field(default_factory=dict)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def register(self) -> None:
        self._directory = json.loads((await self._send("GET", self.directory_url))[2])
        await self._send("HEAD", self._directory["newNonce"])
        _, headers, _ = await self._post(self._directory["newAccount"], {"termsOfServiceAgreed": True})
        self._kid = headers["location"]

    async def issue(self, request: bytes, name: str = "localhost") -> float:
        started = time.perf_counter()
        _, headers, body = await self._post(
            self._directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]}
        )
        order_url, order = headers["location"], json.loads(body)
        for url in order["authorizations"]:
            authorization = await self._get(url)
            if authorization["status"] == "pending":
                await self._prove(url, authorization)
        await self._post(order["finalize"], {"csr": encode(request)})
        order = await self._until(order_url, "valid")
        _, _, chain = await self._post(order["certificate"], None)
        assert b"BEGIN CERTIFICATE" in chain
        return time.perf_counter() - started

    async def _prove(self, url: str, authorization: dict[str, Any]) -> None:
        challenge = next(each for each in authorization["challenges"] if each["type"] == "http-01")
        token = challenge["token"]
        self.responder.answers[token] = key_authorization(token, read_key(_jwk(self.key)).thumbprint)
        await self._post(challenge["url"], {})
        await self._until(url, "valid")
        del self.responder.answers[token]

    async def _until(self, url: str, status: str) -> dict[str, Any]:
        for attempt in range(_TRIES):
            found = await self._get(url)
            if found["status"] == status:
                return found
            if found["status"] == "invalid":
                raise RuntimeError(json.dumps(found))
            await asyncio.sleep(0.002 * (attempt + 1))
        raise TimeoutError(url)

    async def _get(self, url: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((await self._post(url, None))[2])
        return content

    async def _post(self, url: str, payload: Any) -> tuple[int, dict[str, str], bytes]:
        who = {"kid": self._kid} if self._kid else {"jwk": _jwk(self.key)}
        protected = encode(json.dumps({"alg": "ES256", "nonce": self._nonce, "url": url, **who}).encode())
        body = encode(json.dumps(payload).encode()) if payload is not None else ""
        r, s = decode_dss_signature(self.key.handle.sign(f"{protected}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
        signature = encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        message = json.dumps({"protected": protected, "payload": body, "signature": signature}).encode()
        status, headers, content = await self._send("POST", url, message)
        if status == 400 and b"badNonce" in content:
            return await self._post(url, payload)
        if status >= 400:
            raise RuntimeError(f"{url}: {content!r}")
        return status, headers, content

    async def _send(self, method: str, url: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", parts.port, ssl=self.context, server_hostname="localhost"
            )
        reader, writer = self._streams
        head = f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/jose+json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding") == "chunked":
            content = await _chunks(reader)
        else:
            content = await reader.readexactly(int(headers.get("content-length", "0")) if method != "HEAD" else 0)
        self._nonce = headers.get("replay-nonce", self._nonce)
        return int(lines[0].split()[1]), headers, content


def requests(count: int, name: str = "localhost") -> list[bytes]:
    """Certificate requests, each with a key of its own."""
    return [csr.build_for(PrivateKey.generate(), Names(dns=(name,))) for _ in range(count)]


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readline(), 16):
        content += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return content


def _jwk(key: PrivateKey) -> dict[str, str]:
    handle = key.handle
    assert isinstance(handle, ec.EllipticCurvePrivateKey)
    numbers = handle.public_key().public_numbers()
    return {
        "kty": "EC", "crv": "P-256", "x": encode(numbers.x.to_bytes(32, "big")), "y": encode(numbers.y.to_bytes(32, "big")),
    }  # fmt: skip
