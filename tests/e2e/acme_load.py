"""ACME clients that order certificates as fast as they get them, from whichever server answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Refused(Exception):
    """A problem document that is no `badNonce`."""


class Responder:
    """Answers http-01 for every token that it was told of, after `delay` seconds."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.answers: dict[str, str] = {}

    async def __aenter__(self) -> Responder:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(self.delay)
            token = head.split(b" ")[1].rpartition(b"/")[2].decode()
            body = self.answers.get(token, "").encode()
            writer.write(_HEAD % len(body) + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@dataclass
class Client:
    """One account. `servers` are base addresses; each request goes to the next of them."""

    servers: list[str]
    context: ssl.SSLContext
    responder: Responder
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    account: str = ""
    nonces: list[str] = field(default_factory=list)
    refused_nonces: int = 0

    def __post_init__(self) -> None:
        self._turns = itertools.cycle(self.servers)
        self._http = httpx2.AsyncClient(verify=self.context, timeout=10, trust_env=False)
        numbers = self.key.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256", "kty": "EC", "x": encode(numbers.x.to_bytes(32, "big")),
            "y": encode(numbers.y.to_bytes(32, "big")),
        }  # fmt: skip
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        self.thumbprint = encode(hashlib.sha256(canonical.encode()).digest())

    async def close(self) -> None:
        await self._http.aclose()

    def sign(self, path: str, base: str, payload: Any, nonce: str) -> dict[str, str]:
        who = {"kid": f"{base}/acme/account/{self.account}"} if self.account else {"jwk": self.jwk}
        head = encode(json.dumps({"alg": "ES256", "nonce": nonce, "url": f"{base}{path}", **who}).encode())
        body = "" if payload is None else encode(json.dumps(payload).encode())
        r, s = decode_dss_signature(self.key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
        signature = encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return {"protected": head, "payload": body, "signature": signature}

    async def send(self, base: str, path: str, jws: dict[str, str]) -> httpx2.Response:
        return await self._http.post(
            f"{base}{path}", content=json.dumps(jws), headers={"Content-Type": "application/jose+json"}
        )

    async def nonce(self, base: str) -> str:
        return (await self._http.head(f"{base}/acme/new-nonce")).headers["Replay-Nonce"]

    async def ask(self, path: str, payload: Any = None) -> httpx2.Response:
        """A signed request; a nonce from one server is used at the next."""
        for _ in range(5):
            base = next(self._turns)
            nonce = self.nonces.pop() if self.nonces else await self.nonce(base)
            answer = await self.send(base, path, self.sign(path, base, payload, nonce))
            if "Replay-Nonce" in answer.headers:
                self.nonces = [answer.headers["Replay-Nonce"]]
            if answer.status_code < 400:
                return answer
            if "badNonce" not in answer.text:
                raise Refused(answer.text)
            self.refused_nonces += 1
        raise Refused("badNonce again and again")

    async def register(self) -> None:
        answer = await self.ask("/acme/new-account", {"termsOfServiceAgreed": True})
        self.account = answer.headers["Location"].rpartition("/")[2]

    async def certificate(self, name: str = "localhost") -> x509.Certificate:
        """Order, prove, finalize, fetch."""
        order = await self.ask("/acme/new-order", {"identifiers": [{"type": "dns", "value": name}]})
        where = _path(order.headers["Location"])
        authorization = (await self.ask(_path(order.json()["authorizations"][0]))).json()
        challenge = next(each for each in authorization["challenges"] if each["type"] == "http-01")
        self.responder.answers[challenge["token"]] = f"{challenge['token']}.{self.thumbprint}"
        await self.ask(_path(challenge["url"]), {})
        await self._until(where, "ready")
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
        der = csr.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        await self.ask(f"{where}/finalize", {"csr": encode(der)})
        url = (await self._until(where, "valid"))["certificate"]
        answer = await self.ask(_path(url))
        return x509.load_pem_x509_certificate(answer.content)

    async def _until(self, where: str, status: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                order = (await self.ask(where)).json()
                if order["status"] == status:
                    return order
                if order["status"] == "invalid":
                    raise Refused(json.dumps(order))
                await asyncio.sleep(0.02)


@dataclass
class Load:
    """Clients that go on until `stop`; what they were given is in `got`."""

    got: list[x509.Certificate] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    broken: int = 0
    stopping: bool = False

    async def run(self, client: Client) -> None:
        while not self.stopping:
            try:
                if not client.account:
                    await client.register()
                self.got.append(await client.certificate())
            except (httpx2.HTTPError, TimeoutError):
                self.broken += 1  # the server was killed: what was under way is ordered again
                client.nonces.clear()
                await asyncio.sleep(0.02)
            except Refused as error:
                self.refused.append(str(error))
                client.nonces.clear()
        await client.close()


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]
