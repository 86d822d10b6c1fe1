"""An ACME door over a real store, and clients that sign for themselves."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.model import Authorization, Order
from handsel.authority.adapters.acme_http.door import AcmeDoor
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.nonces import MemoryNonces
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Issuers
from handsel.authority.profile import Lifetimes, profiles
from handsel.door.asgi import Request, Response
from handsel.model.authority import Acme, Profile
from handsel.model.policy import Policy
from handsel.pki import csr
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names
from handsel.store.adapters.sqlite import SqliteStore
from tests.support import TRUST_DOMAIN, TestAuthority

HOST = "ca.test:8443"
BASE = f"https://{HOST}/acme/"


@dataclass
class AcmeWorld:
    """The door with everything that it stands on. `controlled` are the names that their clients control."""

    store: SqliteStore
    authority: TestAuthority
    settings: Acme = field(default_factory=Acme)
    written: dict[str, Profile] = field(default_factory=dict)
    policy: Policy = None
    controlled: set[str] = field(default_factory=lambda: {"a.test.internal", "b.test.internal", "10.0.0.7"})
    seen: list[tuple[str, str, str, str]] = field(default_factory=list)
    bugs: list[Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    issuers: Issuers | None = None

    def __post_init__(self) -> None:
        self.issuers = self.issuers or self.authority.issuers
        self.objects = AcmeObjects(self.store)
        self.directory = Directory(self.store)
        self.door = self.open_door()

    def open_door(self) -> AcmeDoor:
        """A door as after a start: it knows none of the nonces of the one before."""
        return AcmeDoor(
            self.store, self.objects, self.directory, Issuing(self.store, lambda: self.issuers), MemoryNonces(),
            self.domain, lambda: self.settings, self.probe, self.chains, self.bugs.append,
        )  # fmt: skip

    def chains(self, leaf: Certificate) -> tuple[tuple[Certificate, ...], ...]:
        """By the issuers of that moment."""
        return self.issuers.chains(leaf)

    def domain(self) -> Domain:
        return Domain(TRUST_DOMAIN, {}, profiles(Lifetimes(), self.written), self.policy)

    async def probe(self, kind: str, identifier: Identifier, token: str, thumbprint: str, **_about: object) -> None:
        """Control is what stands in `controlled`."""
        self.seen.append((kind, identifier.value, token, thumbprint))
        if self.hold is not None:
            await self.hold.wait()
        if identifier.value not in self.controlled:
            raise Problem("incorrectResponse", "the key authorization was not shown")

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, client: str = "192.0.2.1", **headers: str
    ) -> Answer:
        """A request as the ASGI server hands it in."""
        url = path.removeprefix(BASE)
        wanted = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, f"/acme/{url}", {}, wanted, body, None, f"/acme/{url}".encode(), client)
        return Answer(await self.door.handle(request))

    async def client(self, **wish: Any) -> Client:
        """A client with an account."""
        made = Client(self)
        answer = await made.post("new-account", wish)
        assert answer.status == 201, answer.json
        made.kid = answer.headers["Location"]
        return made


@dataclass(frozen=True)
class Answer:
    """What the door said."""

    response: Response

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.response.headers)

    def links(self, relation: str) -> list[str]:
        found = [value for name, value in self.response.headers if name == "Link"]
        return [each.partition(">")[0][1:] for each in found if f'rel="{relation}"' in each]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.response.body)

    @property
    def kind(self) -> str:
        """The type of a problem, without its prefix; and that it is one of ACME's."""
        assert self.response.content_type == "application/problem+json", self.response
        assert self.status >= 400
        prefix, _, kind = self.json["type"].rpartition(":")
        assert prefix == "urn:ietf:params:acme:error"
        return kind


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk_of(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    x, y = (encode(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def thumbprint_of(jwk: dict[str, str]) -> str:
    return encode(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def sign(key: ec.EllipticCurvePrivateKey, protected: dict[str, Any], payload: bytes) -> dict[str, str]:
    """A flattened JWS by ES256."""
    head, body = encode(json.dumps(protected).encode()), encode(payload)
    r, s = decode_dss_signature(key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())))
    return {"protected": head, "payload": body, "signature": encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))}


@dataclass
class Client:
    """An ACME client. `kid` is its account; without, it signs with its `jwk`."""

    world: AcmeWorld
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    kid: str = ""

    @property
    def jwk(self) -> dict[str, str]:
        return jwk_of(self.key)

    @property
    def thumbprint(self) -> str:
        return thumbprint_of(self.jwk)

    @property
    def account_id(self) -> str:
        return self.kid.rpartition("/")[2]

    async def nonce(self) -> str:
        return (await self.world.ask("HEAD", "new-nonce")).headers["Replay-Nonce"]

    async def protected(self, path: str, **changed: Any) -> dict[str, Any]:
        """The protected header; what is changed to None is left out."""
        who = {"kid": self.kid} if self.kid else {"jwk": self.jwk}
        url = path if path.startswith("https:") else BASE + path
        head = {"alg": "ES256", "nonce": await self.nonce(), "url": url, **who, **changed}
        return {name: value for name, value in head.items() if value is not None}

    async def post(self, path: str, payload: Any = None, *, client: str = "192.0.2.1", **changed: Any) -> Answer:
        """A signed request; without a payload a fetch (POST-as-GET)."""
        body = b"" if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return await self.send(path, sign(self.key, await self.protected(path, **changed), body), client=client)

    async def send(self, path: str, jws: Any, *, client: str = "192.0.2.1") -> Answer:
        return await self.world.ask(
            "POST", path, json.dumps(jws).encode(), client=client, content_type="application/jose+json"
        )

    async def order(self, *names: str, path: str = "new-order", **wish: Any) -> Answer:
        identifiers = [{"type": "ip" if each[0].isdigit() or ":" in each else "dns", "value": each} for each in names]
        return await self.post(path, {"identifiers": identifiers, **wish})

    async def prove(self, order: Answer, kind: str = "") -> None:
        """Start a challenge of each authorization and wait until it was looked at."""
        for url in order.json["authorizations"]:
            authorization = (await self.post(url)).json
            if authorization["status"] != "pending":
                continue
            challenge = next(each for each in authorization["challenges"] if kind in each["type"])
            assert (await self.post(challenge["url"], {})).status == 200
            await self.settled(url)

    async def settled(self, url: str) -> dict[str, Any]:
        """An authorization, once nobody looks at it any more."""
        async with asyncio.timeout(10):
            while (found := (await self.post(url)).json)["status"] == "pending":
                await asyncio.sleep(0.002)
        return found

    async def finalize(self, order: Answer, *names: str, key: PrivateKey | None = None) -> Answer:
        der = request_for(*names, key=key)
        return await self.post(order.json["finalize"], {"csr": encode(der)})

    async def certificate(self, *names: str, key: PrivateKey | None = None, **wish: Any) -> Certificate:
        """The whole way to a certificate."""
        order = await self.order(*names, **wish)
        assert order.status == 201, order.json
        await self.prove(order)
        done = await self.finalize(order, *names, key=key)
        assert done.json["status"] == "valid", done.json
        return parse_pem((await self.post(done.json["certificate"])).response.body)[0]


def request_for(*names: str, key: PrivateKey | None = None) -> bytes:
    """A certificate request for these names."""
    ip = tuple(each for each in names if each[0].isdigit() or ":" in each)
    dns = tuple(each for each in names if each not in ip)
    return csr.build_for(key or PrivateKey.generate(), Names(dns=dns, ip=ip))


def older(what: Order | Authorization, by: timedelta) -> Order | Authorization:
    """The same, made so long ago."""
    return replace(what, expires=what.expires - by)
