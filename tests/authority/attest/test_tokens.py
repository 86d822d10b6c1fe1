"""Tokens as evidence: OpenID Connect and Kubernetes, checked by the issuer's keys in a file or at its door."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import evidence
from handsel.authority.adapters.jwks import TrustSources
from handsel.authority.attest import tokens
from handsel.door.adapters.uvicorn_tls import DoorServer, DoorTls, listen_tcp
from handsel.door.asgi import Door
from handsel.errors import Refused
from handsel.link.joining import Evidence
from tests.authority.attest.issuer import AUDIENCE, NAME, Issuer
from tests.authority.attest.world import in_file, rule
from tests.support import NOW, TRUST_DOMAIN, write_pair

ISSUER = Issuer()

GITHUB = {"sub": "repo:acme/web:ref:refs/heads/main", "repository": "acme/web", "repository_owner": "acme"}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def _oidc(issuer: Issuer, folder, **changes):
    values = {"issuer": NAME, "audience": AUDIENCE, "keys": in_file(folder, "jwks.json", issuer.jwks()), **changes}
    return rule("oidc", **{"when": {"repository": ("acme/*",)}, "services": ("{repository_name}",), **values})


def _way(doors, token: bytes, attestor: str = "oidc"):
    return doors.way(attestor, evidence.bearer(token))


async def test_a_pipeline_of_github_joins_for_the_service_of_its_repository(issuer, doors_with, tmp_path):
    doors = doors_with(_oidc(issuer, tmp_path))
    joined = await doors.join(_way(doors, issuer.token(**GITHUB)))
    assert (await doors.directory.host(joined.answer.agent_id)).services == ("web",)
    other = {**GITHUB, "repository": "mallory/web"}
    with pytest.raises(Refused, match="repository 'mallory/web' does not fit 'acme/\\*'"):
        await doors.join(_way(doors, issuer.token(**other)))


async def test_a_token_is_used_once(issuer, doors_with, tmp_path):
    """Section 3: replay, unless bound to first use."""
    doors = doors_with(_oidc(issuer, tmp_path))
    for claims in ({}, {"jti": "a1"}):
        token = issuer.token(**GITHUB, **claims)
        await doors.join(_way(doors, token))
        with pytest.raises(Refused, match="used before"):
            await doors.join(_way(doors, token))
    with pytest.raises(Refused, match="used before"):
        await doors.join(_way(doors, issuer.token(**GITHUB, jti="a1", exp=int(time.time()) + 301)))
    assert await doors.join(_way(doors, issuer.token(**GITHUB, jti="a2")))


async def test_another_form_of_the_same_signature_does_not_make_another_token(issuer, doors_with, tmp_path):
    """ECDSA has two signatures for each: (r, s) and (r, n - s)."""
    doors = doors_with(_oidc(issuer, tmp_path))
    token = issuer.token(**GITHUB)
    head, _, signed = token.decode().rpartition(".")
    raw = base64.urlsafe_b64decode(signed + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{head}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}".encode()
    await doors.join(_way(doors, token))
    with pytest.raises(Refused, match="used before"):
        await doors.join(_way(doors, twin))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://other.example"}, "not of 'https://token.example'"),
        ({"iss": None}, "not of 'https://token.example'"),
        ({"aud": "somebody else"}, "not for 'handsel'"),
        ({"aud": None}, "not for 'handsel'"),
        ({"aud": [["handsel"]]}, "not for 'handsel'"),
        ({"sub": None}, "no subject"),
        ({"sub": 7}, "no subject|not signed by its issuer"),
        ({"exp": 1}, "has ended"),
        ({"exp": None}, "exp is no time"),
        ({"exp": "soon"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": 10**30}, "exp is no time"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"iat": int(time.time()) + 3600}, "not valid yet"),
    ],
)
async def test_a_token_that_is_not_right_is_refused(issuer, doors_with, tmp_path, claims, reason):
    doors = doors_with(_oidc(issuer, tmp_path))
    with pytest.raises(Refused, match=reason):
        await doors.join(_way(doors, issuer.token(**{**GITHUB, **claims})))
    assert await doors.join(_way(doors, issuer.token(**{**GITHUB, "aud": ["x", AUDIENCE]})))


async def test_only_the_issuers_own_keys_sign(issuer, doors_with, tmp_path):
    doors = doors_with(_oidc(issuer, tmp_path))
    forged = [
        Issuer().token(**GITHUB),  # another key of the same name
        _unsigned({**_claims(), **GITHUB}),
        _mac_with_public_key(issuer, {**_claims(), **GITHUB}),
        issuer.token(**GITHUB)[:-6] + b"AAAAAA",
    ]
    issuer.add("k2")
    forged.append(issuer.token("k2", **GITHUB))  # a key that the issuer did not show
    for token in forged:
        with pytest.raises(Refused, match="signed"):
            await doors.join(_way(doors, token))
    assert await doors.join(_way(doors, issuer.token(**GITHUB)))


def _claims() -> dict[str, object]:
    now = int(time.time())
    return {"iss": NAME, "aud": AUDIENCE, "iat": now, "exp": now + 300}


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def _unsigned(claims: object) -> bytes:
    return f"{_part({'alg': 'none', 'kid': 'k1'})}.{_part(claims)}.".encode()


def _mac_with_public_key(issuer: Issuer, claims: object) -> bytes:
    """The old confusion: a MAC whose secret is what everybody knows."""
    signed = f"{_part({'alg': 'HS256', 'kid': 'k1'})}.{_part(claims)}"
    mac = hmac.new(issuer.keys["k1"].as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}".encode()


BOUND = {
    "namespace": "shop", "serviceaccount": {"name": "web", "uid": "u1"}, "pod": {"name": "web-7", "uid": "u2"},
    "node": {"name": "node-1", "uid": "u3"},
}  # fmt: skip
POD = {"sub": "system:serviceaccount:shop:web", "kubernetes.io": BOUND}


def _kubernetes(issuer: Issuer, folder, **changes):
    values = {"issuer": NAME, "audience": AUDIENCE, "keys": in_file(folder, "jwks.json", issuer.jwks()), **changes}
    return rule("kubernetes", **{"services": ("{service_account}",), **values})


async def test_a_pod_joins_for_the_service_of_its_account(issuer, doors_with, tmp_path):
    issuer.add("rsa")
    doors = doors_with(_kubernetes(issuer, tmp_path, when={"namespace": ("shop",), "node": ("node-*",)}))
    joined = await doors.join(_way(doors, issuer.token("rsa", **POD), "kubernetes"))
    assert (await doors.directory.host(joined.answer.agent_id)).services == ("web",)
    elsewhere = {"sub": "system:serviceaccount:other:web", "kubernetes.io": {**BOUND, "namespace": "other"}}
    with pytest.raises(Refused, match="namespace 'other' does not fit"):
        await doors.join(_way(doors, issuer.token(**elsewhere), "kubernetes"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kubernetes.io": None}, "not a bound one"),
        ({"kubernetes.io": "shop"}, "not a bound one"),
        ({"kubernetes.io": {**BOUND, "pod": None}}, "bound to no pod"),
        ({"kubernetes.io": {**BOUND, "namespace": ["shop"]}}, "namespace is no name"),
        ({"kubernetes.io": {**BOUND, "serviceaccount": {"name": "admin", "uid": "u1"}}}, "subject is"),
    ],
)
async def test_a_token_that_is_not_of_a_pod_is_refused(issuer, doors_with, tmp_path, changes, reason):
    doors = doors_with(_kubernetes(issuer, tmp_path))
    with pytest.raises(Refused, match=reason):
        await doors.join(_way(doors, issuer.token(**{**POD, **changes}), "kubernetes"))
    assert await doors.join(_way(doors, issuer.token(**POD), "kubernetes"))


class _Door:
    """An issuer's door over TLS, with a certificate of a CA that is in a file."""

    def __init__(self, issuer, authority, folder):
        self._listening = listen_tcp("127.0.0.1", 0)
        port = self._listening.getsockname()[1]
        pair = authority.pair(TRUST_DOMAIN.workload("default", "issuer"), ip_names=("127.0.0.1",))
        tls = DoorTls((authority.issuer.root,))
        tls.show(*write_pair(folder, "issuer", pair))
        self._door = DoorServer(Door(issuer.routes(port), on_bug=lambda _: None), self._listening, tls.context)
        self.ca = in_file(folder, "issuer-ca.pem", authority.issuer.root.pem)

    async def __aenter__(self):
        await self._door.start()
        return self

    async def __aexit__(self, *_):
        await self._door.stop()


async def test_an_issuer_is_asked_for_its_keys_and_not_too_often(issuer, living_authority, tmp_path):
    """GitHub, GitLab, any issuer: discovery, with its own CA pinned."""
    now = [1000.0]
    trust = TrustSources(lambda: now[0])
    async with _Door(issuer, living_authority, tmp_path) as door:
        wanted = rule("oidc", issuer=issuer.name, audience=AUDIENCE, ca=door.ca)
        token = issuer.token().decode()
        keys = await trust.of(wanted, token)
        assert tokens.claims_of(wanted, keys, token, datetime.now(UTC))["sub"] == "somebody"
        assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
        for _ in range(20):
            await trust.of(wanted, token)
        assert len(issuer.asked) == 2

        issuer.add("k2")
        fresh = issuer.token("k2").decode()
        assert len(await trust.of(wanted, fresh)) == 1, "a stranger's token does not make us ask at once"
        now[0] += 11
        assert len(await trust.of(wanted, fresh)) == 2
        assert len(issuer.asked) == 4
        now[0] += 301
        await asyncio.gather(*(trust.of(wanted, token) for _ in range(20)))
        assert len(issuer.asked) == 6


async def test_an_issuer_that_does_not_answer_is_not_asked_by_every_stranger(issuer, living_authority, tmp_path):
    now = [1000.0]
    trust = TrustSources(lambda: now[0])
    async with _Door(issuer, living_authority, tmp_path) as door:
        name = issuer.name
        wanted = rule("oidc", issuer=name, audience=AUDIENCE, ca=door.ca)
        issuer.name = "https://somebody.else"
        for _ in range(20):
            with pytest.raises(Refused, match="cannot be had"):
                await trust.of(wanted)
        assert len(issuer.asked) == 1
        issuer.name = name
        now[0] += 11
        assert await trust.of(wanted)


async def test_an_issuer_whose_door_is_not_checked_by_the_ca_is_not_believed(issuer, living_authority, tmp_path):
    async with _Door(issuer, living_authority, tmp_path) as door:
        right = rule("oidc", issuer=issuer.name, audience=AUDIENCE, ca=door.ca)
        for wrong in (
            rule("oidc", issuer=issuer.name, audience=AUDIENCE),
            rule("oidc", issuer=issuer.name + "/elsewhere", audience=AUDIENCE, ca=door.ca),
            rule("oidc", issuer=issuer.name + "/", audience=AUDIENCE, ca=door.ca),
            rule("kubernetes", issuer=NAME, audience=AUDIENCE, ca=door.ca, keys=issuer.name + "/nothing"),
        ):
            with pytest.raises(Refused, match="cannot be had"):
                await TrustSources().of(wrong)
        assert await TrustSources().of(right)
        assert await TrustSources().of(rule("kubernetes", ca=door.ca, keys=issuer.name + "/keys"))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
                b'{"keys": [{"kty": "EC", "crv": "P-256", "x": 1}]}', b"[" * 3000]
)  # fmt: skip
def test_what_is_no_jwks_is_refused(content):
    with pytest.raises(ValueError):
        tokens.read_trust(content)


def test_weak_and_secret_keys_of_a_jwks_are_left_out(issuer):
    from joserfc.jwk import RSAKey

    with pytest.warns(Warning, match="2048"):
        issuer.keys["weak"] = RSAKey.generate_key(1024, {"kid": "weak"})
    content = json.loads(issuer.jwks())
    content["keys"].append(issuer.keys["k1"].as_dict(private=True) | {"kid": "private"})
    keys = tokens.read_trust(json.dumps(content).encode())
    assert [key.kid for key in keys] == ["k1", "private"]
    assert not any(key.is_private for key in keys)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_text_that_is_no_token_is_refused(text):
    keys = tokens.read_trust(ISSUER.jwks())
    with pytest.raises(Refused):
        tokens.attest(rule("oidc", issuer=NAME, audience=AUDIENCE), keys, Evidence(token=text), None, NOW)
