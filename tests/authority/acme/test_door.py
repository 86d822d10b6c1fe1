"""What every ACME request has to be, over the real door (RFC 8555, section 6)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.acme.problems import Problem
from handsel.authority.adapters.acme_http.door import RESOURCES
from handsel.authority.adapters.nonces import LIFETIME_SECONDS, MemoryNonces
from handsel.pki.keys import KeyType, PrivateKey
from tests.authority.acme.world import BASE, AcmeWorld, Client, encode, sign
from tests.support import key_of

A = "a.test.internal"


async def test_the_content_type_is_jose_json(acme: AcmeWorld) -> None:
    """§6.2 Otherwise 415; parameters and case do not matter."""
    client = await acme.client()
    for wrong in ("", "application/json", "application/jose", "text/plain"):
        jws = sign(client.key, await client.protected("new-order"), b"{}")
        answer = await acme.ask("POST", "new-order", json.dumps(jws).encode(), content_type=wrong)
        assert (answer.status, answer.kind) == (415, "malformed")
    jws = sign(client.key, await client.protected(client.kid), b"")
    right = await acme.ask("POST", client.kid, json.dumps(jws).encode(), content_type="Application/JOSE+json; x=y")
    assert right.status == 200


async def test_exactly_one_of_jwk_and_kid_and_the_right_one(acme: AcmeWorld) -> None:
    """§6.2 `jwk` only for newAccount and revokeCert, `kid` elsewhere."""
    client = await acme.client()
    for changed in ({"jwk": client.jwk}, {"kid": None}, {"kid": None, "jwk": client.jwk}, {"kid": ""}, {"kid": 5}):
        kind = (await client.order(A)).status, (await client.post("new-order", {}, **changed)).kind
        assert kind in ((201, "malformed"), (201, "accountDoesNotExist")), changed
    assert (await client.post("new-account", {})).kind == "malformed"  # with its kid
    assert (await client.post("new-account", {}, kid=None, jwk=client.jwk)).status == 200
    for wrong in (client.jwk, [], "x", {"kty": "oct", "k": "AAAA"}, {**client.jwk, "d": "AAAA"}):
        answer = await client.post("new-account", {}, kid=None, jwk=wrong)
        assert (answer.status == 200) == (wrong == client.jwk)
        if answer.status != 200:
            assert answer.kind in ("malformed", "badPublicKey")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "RS256", "EdDSA", "PS256", "", None, 5, ["ES256"]])
async def test_other_algorithms_are_refused(acme: AcmeWorld, algorithm: Any) -> None:
    """§6.2 `none` and MACs are refused; `badSignatureAlgorithm` lists what is accepted; ES256 fits the key."""
    client = await acme.client()
    answer = await client.post("new-order", {}, alg=algorithm)
    if algorithm in ("ES384", "RS256", "EdDSA"):
        assert answer.kind == "malformed"  # accepted, and not for this key
    else:
        assert answer.kind == "badSignatureAlgorithm"
        assert "ES256" in answer.json["algorithms"]
        assert not {"none", "HS256"} & set(answer.json["algorithms"])


async def test_only_a_flattened_jws(acme: AcmeWorld) -> None:
    """§6.2 No unprotected header, no several signatures, nothing unknown, strict base64url."""
    client = await acme.client()

    async def fresh() -> dict[str, str]:
        return sign(client.key, await client.protected(client.kid), b"")

    good = await fresh()
    assert (await client.send(client.kid, good)).status == 200
    padded = await fresh()
    for broken in (
        {**await fresh(), "header": {"alg": "ES256"}},
        {"payload": "", "signatures": [{k: v for k, v in good.items() if k != "payload"}]},
        {k: v for k, v in good.items() if k != "signature"},
        {**padded, "signature": padded["signature"] + "=="},
        {**padded, "signature": ""},
        {**padded, "signature": encode(bytes(63))},
        {**padded, "signature": encode(bytes(64))},
        {**padded, "protected": padded["protected"][:-1] + "\n"},
        {**padded, "payload": 5},
        [], "x", None, 5,
    ):  # fmt: skip
        answer = await client.send(client.kid, broken)
        assert (answer.status, answer.kind) == (400, "malformed"), broken
        assert answer.headers["Replay-Nonce"]
    for body in (b"", b"{", b"\xff", b"[" * 60000, b'{"protected":"","protected":""}', b"\x00" * 10):
        answer = await acme.ask("POST", client.kid, body, content_type="application/jose+json")
        assert (answer.status, answer.kind) == (400, "malformed")
    large = await acme.ask("POST", client.kid, b"x" * 65537, content_type="application/jose+json")
    assert (large.status, large.kind) == (413, "malformed")
    assert not acme.bugs


async def test_what_is_signed_and_what_is_said_must_be_the_same(acme: AcmeWorld) -> None:
    client = await acme.client()
    jws = sign(client.key, await client.protected("new-order"), json.dumps({"identifiers": []}).encode())
    other = encode(json.dumps({"identifiers": [{"type": "dns", "value": A}]}).encode())
    assert (await client.send("new-order", {**jws, "payload": other})).kind == "malformed"
    stranger = Client(acme, ec.generate_private_key(ec.SECP256R1()), client.kid)
    assert (await stranger.order(A)).kind == "malformed"
    assert (await client.order(A)).status == 201
    for header in ({"crit": ["exp"]}, {"b64": False}):
        assert (await client.post(client.kid, **header)).kind == "malformed"


async def test_the_url_is_the_one_that_was_asked_for(acme: AcmeWorld) -> None:
    """§6.4 A mismatch is `unauthorized`; behind a proxy the client's own Host header counts."""
    client = await acme.client()
    for wrong in (f"{BASE}new-authz", "https://elsewhere/acme/new-order", f"{BASE}new-order/", None, 5):
        answer = await client.post("new-order", {}, url=wrong)
        assert (answer.status, answer.kind) == (403, "unauthorized"), wrong
    stranger = Client(acme)
    head = await stranger.protected("new-account", url="https://acme.example/acme/new-account")
    body = json.dumps(sign(stranger.key, head, b"{}")).encode()
    kind = {"content_type": "application/jose+json"}
    assert (await acme.ask("POST", "new-account", body, **kind)).kind == "unauthorized"
    head["nonce"] = await stranger.nonce()
    body = json.dumps(sign(stranger.key, head, b"{}")).encode()
    answer = await acme.ask("POST", "new-account", body, host="acme.example", **kind)
    assert answer.status == 201
    assert answer.headers["Location"].startswith("https://acme.example/acme/account/")


async def test_every_fetch_is_a_post_as_get(acme: AcmeWorld) -> None:
    """§6.3 An empty payload, not `{}`; plain GET only on directory, newNonce and renewalInfo, else 405."""
    client = await acme.client()
    order = await client.order(A)
    for url in (order.headers["Location"], f"{client.kid}/orders"):
        assert (await client.post(url)).status == 200
        assert (await client.post(url, {})).kind == "malformed"
    assert (await client.post("new-order", b"")).kind == "malformed"
    for parts in RESOURCES:
        path = "/".join(part.replace("*", "x") for part in parts)
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            answer = await acme.ask(method, path)
            assert (answer.status, answer.kind) == (405, "malformed"), (method, path)
    for path in ("directory", "new-nonce"):
        assert (await acme.ask("GET", path)).status in (200, 204)
        assert (await acme.ask("POST", path)).status == 405
    for path in ("", "nothing", "order", "order/", "order/x/y/z", "ca", "ca/x", "ca/x/y"):
        assert (await client.post(path, {})).status in (400, 404), path
        assert (await acme.ask("GET", path)).status in (404, 405), path


async def test_nonces(acme: AcmeWorld) -> None:
    """§6.5, §7.2 HEAD 200, GET 204, `no-store`; a fresh one on every answer; used once; `badNonce` is 400."""
    for method, status in (("HEAD", 200), ("GET", 204)):
        answer = await acme.ask(method, "new-nonce")
        assert (answer.status, answer.headers["Cache-Control"]) == (status, "no-store")
        assert answer.headers["Replay-Nonce"]
    client = await acme.client()
    jws = sign(client.key, await client.protected(client.kid), b"")
    first, again = await client.send(client.kid, jws), await client.send(client.kid, jws)
    assert (first.status, again.status, again.kind) == (200, 400, "badNonce")
    assert first.headers["Replay-Nonce"] != again.headers["Replay-Nonce"]
    retried = await client.post(client.kid, nonce=again.headers["Replay-Nonce"])
    assert retried.status == 200
    for wrong in (None, "", 5, "AAAA", "ä", encode(bytes(40)), [1]):
        answer = await client.post(client.kid, nonce=wrong)
        assert (answer.status, answer.kind) == (400, "badNonce"), wrong
    spent = await client.nonce()
    assert (await client.post("new-order", {}, nonce=spent)).kind == "malformed"
    assert (await client.post("new-order", {}, nonce=spent)).kind == "badNonce"  # a refused request used it too


async def test_nonces_of_before_a_restart_are_refused_and_tried_again(acme: AcmeWorld) -> None:
    client = await acme.client()
    old = await client.nonce()
    acme.door = acme.open_door()
    answer = await client.post(client.kid, nonce=old)
    assert answer.kind == "badNonce"
    assert (await client.post(client.kid, nonce=answer.headers["Replay-Nonce"])).status == 200


def test_a_nonce_is_good_for_an_hour_and_once() -> None:
    moment = [1000.0]
    nonces = MemoryNonces(lambda: moment[0])
    used, kept, late = nonces.mint(), nonces.mint(), nonces.mint()
    nonces.spend(used)
    with pytest.raises(Problem):
        nonces.spend(used)
    moment[0] += LIFETIME_SECONDS - 1
    nonces.spend(kept)
    moment[0] += 1
    with pytest.raises(Problem):
        nonces.spend(late)


def test_used_nonces_take_bounded_room() -> None:
    """Those that fall out of the memory are refused, never taken twice."""
    nonces = MemoryNonces(lambda: 0.0)
    first = nonces.mint()
    nonces._sealed._counter = 10_000_000  # as after ten million requests
    nonces.spend(nonces.mint())
    nonces.spend(nonces.mint())
    assert len(nonces._used) < 2 << 20
    with pytest.raises(Problem):
        nonces.spend(first)


async def test_links_lead_back_to_the_directory(acme: AcmeWorld) -> None:
    """§7.1 `Link: rel="index"` on everything but the directory."""
    client = await acme.client()
    for answer in (await client.post(client.kid), await client.order("a b"), await acme.ask("HEAD", "new-nonce")):
        assert answer.links("index") == [f"{BASE}directory"]
    directory = await acme.ask("GET", "directory")
    assert not directory.links("index")
    assert set(directory.json) >= {"newNonce", "newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange"}
    for name, url in directory.json.items():
        if name != "meta":
            assert url.startswith(BASE)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA2048])
async def test_accounts_may_have_every_usual_key(acme: AcmeWorld, kind: KeyType) -> None:
    """§6.2 ES256 at least; EdDSA, ES384 and RS256 too."""
    key = key_of(kind)
    algorithm, jwk, signed = _signer(key)
    head = {"alg": algorithm, "nonce": await Client(acme).nonce(), "url": f"{BASE}new-account", "jwk": jwk}
    protected, payload = encode(json.dumps(head).encode()), encode(b"{}")
    signature = encode(signed(f"{protected}.{payload}".encode()))
    jws = {"protected": protected, "payload": payload, "signature": signature}
    answer = await acme.ask("POST", "new-account", json.dumps(jws).encode(), content_type="application/jose+json")
    assert answer.status in (200, 201), answer.json


def _signer(key: PrivateKey) -> tuple[str, dict[str, str], Any]:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    handle: Any = key.handle
    if isinstance(handle, ed25519.Ed25519PrivateKey):
        raw = handle.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return "EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}, handle.sign
    if isinstance(handle, rsa.RSAPrivateKey):
        numbers = handle.public_key().public_numbers()
        jwk = {"kty": "RSA", "e": encode(b"\x01\x00\x01"), "n": encode(numbers.n.to_bytes(256, "big"))}
        return "RS256", jwk, lambda data: handle.sign(data, padding.PKCS1v15(), hashes.SHA256())
    size = handle.curve.key_size // 8
    digest = hashes.SHA256() if size == 32 else hashes.SHA384()

    def signed(data: bytes) -> bytes:
        return b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(handle.sign(data, ec.ECDSA(digest))))

    point = handle.public_key().public_numbers()
    coordinates = {name: encode(n.to_bytes(size, "big")) for name, n in (("x", point.x), ("y", point.y))}
    return ("ES256" if size == 32 else "ES384"), {"kty": "EC", "crv": f"P-{size * 8}", **coordinates}, signed


async def test_weak_account_keys_are_refused(acme: AcmeWorld) -> None:
    """`badPublicKey` for small RSA keys, small exponents and points that are not on the curve."""
    client = Client(acme)
    small = {"kty": "RSA", "e": "AQAB", "n": encode(b"\xc1" * 128)}
    exponent = {"kty": "RSA", "e": "Aw", "n": encode(b"\xc1" * 256)}
    point = {**client.jwk, "y": client.jwk["x"]}
    for weak in (small, exponent, point, {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}, {"kty": "dh"}):
        assert (await client.post("new-account", {}, jwk=weak)).kind == "badPublicKey", weak
    long = {"kty": "RSA", "e": encode(b"\xff" * 200), "n": encode(b"\xc1" * 256)}
    assert (await client.post("new-account", {}, jwk=long)).kind == "badPublicKey"
    assert not acme.bugs


async def test_a_mistake_of_ours_is_told_without_a_traceback(acme: AcmeWorld) -> None:
    client = await acme.client()
    acme.written["broken"] = None  # type: ignore[assignment]
    answer = await client.order(A)
    assert (answer.status, answer.kind) == (500, "serverInternal")
    assert "Traceback" not in answer.response.body.decode()
    assert len(acme.bugs) == 1
    assert base64.urlsafe_b64decode(answer.headers["Replay-Nonce"] + "==")
