"""Accounts over the real door (RFC 8555, section 7.3)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.authority.acme import accounts, external
from handsel.model.authority import Acme, Profile
from handsel.pki.secret import Secret
from tests.authority.acme.world import BASE, AcmeWorld, Client, encode, jwk_of, sign

A, B = "a.test.internal", "b.test.internal"
SECRET = b"k" * 32


async def test_a_known_key_finds_its_account(acme: AcmeWorld) -> None:
    """§7.3 200 and Location for a known key; §7.3.1 `onlyReturnExisting` unknown: `accountDoesNotExist`, 400."""
    stranger = Client(acme)
    unknown = await stranger.post("new-account", {"onlyReturnExisting": True})
    assert (unknown.status, unknown.kind) == (400, "accountDoesNotExist")
    first = await stranger.post("new-account", {})
    again = await stranger.post("new-account", {"onlyReturnExisting": True})
    assert (first.status, again.status) == (201, 200)
    assert first.headers["Location"] == again.headers["Location"]
    assert again.json["orders"] == first.headers["Location"] + "/orders"


async def test_one_key_opens_one_account_however_many_ask(acme: AcmeWorld) -> None:
    client = Client(acme)
    answers = await asyncio.gather(*(client.post("new-account", {}) for _ in range(5)))
    assert {each.headers["Location"] for each in answers} == {answers[0].headers["Location"]}
    assert sorted(each.status for each in answers) == [200, 200, 200, 200, 201]


async def test_contacts(acme: AcmeWorld) -> None:
    """§7.3 Unknown fields are ignored; a contact is mailto, one address, no header fields."""
    client = await acme.client(contact=["mailto:a@b.example"], nonsense={"x": 1})
    assert (await client.post(client.kid)).json["contact"] == ["mailto:a@b.example"]
    changed = await client.post(client.kid, {"contact": ["mailto:c@b.example"], "orders": "x"})
    assert changed.json["contact"] == ["mailto:c@b.example"]
    for wrong, kind in (
        (["tel:+1"], "unsupportedContact"), (["mailto:a@b,c@d"], "invalidContact"), (["mailto:a"], "invalidContact"),
        (["mailto:a@b?subject=x"], "invalidContact"), ("mailto:a@b", "malformed"), ([5], "malformed"),
        (["mailto:a@b.c"] * 11, "malformed"),
    ):  # fmt: skip
        assert (await client.post(client.kid, {"contact": wrong})).kind == kind, wrong
    assert (await client.post(client.kid)).json["contact"] == ["mailto:c@b.example"]
    assert (await client.post(client.kid, {"status": "revoked"})).kind == "malformed"


async def test_terms_of_service_that_change(acme: AcmeWorld) -> None:
    """§7.3.3 Changed terms: 403 `userActionRequired`, with the link; agreeing goes on."""
    acme.settings = Acme(terms_of_service="https://ca.test/terms-1")
    assert (await Client(acme).post("new-account", {})).kind == "userActionRequired"
    client = await acme.client(termsOfServiceAgreed=True)
    assert (await client.order(A)).status == 201
    assert (await acme.ask("GET", "directory")).json["meta"]["termsOfService"] == "https://ca.test/terms-1"
    acme.settings = Acme(terms_of_service="https://ca.test/terms-2")
    refused = await client.order(A)
    assert (refused.status, refused.kind) == (403, "userActionRequired")
    assert refused.links("terms-of-service") == ["https://ca.test/terms-2"]
    assert (await client.post("new-authz", {"identifier": {"type": "dns", "value": A}})).status == 403
    assert (await client.post(client.kid, {"termsOfServiceAgreed": True})).json["termsOfServiceAgreed"] is True
    assert (await client.order(A)).status == 201


# Another key (section 7.3.5)


async def change(
    client: Client, new: ec.EllipticCurvePrivateKey, outer: dict[str, Any] | None = None, **said: Any
) -> Any:
    """A keyChange; `said` changes the inner header or payload."""
    head = {"alg": "ES256", "jwk": jwk_of(new), "url": f"{BASE}key-change"}
    wish = {"account": client.kid, "oldKey": client.jwk}
    for name, value in said.items():
        (wish if name in wish else head)[name] = value
    inner = sign(new, {k: v for k, v in head.items() if v is not None}, json.dumps(wish).encode())
    return await client.post("key-change", inner, **(outer or {}))


async def test_a_new_key_takes_the_place_of_the_old_one(acme: AcmeWorld) -> None:
    """§7.3.5 The old key is of no use afterwards."""
    client = await acme.client()
    new = ec.generate_private_key(ec.SECP256R1())
    assert (await change(client, new)).status == 200
    assert (await client.order(A)).kind == "malformed"
    renewed = Client(acme, new, client.kid)
    leaf = await renewed.certificate(A)
    assert leaf.dns_names == [A]
    assert acme.seen[-1][-1] == renewed.thumbprint


async def test_a_key_change_that_is_not_whole(acme: AcmeWorld) -> None:
    """§7.3.5 No nonce inside, the same `url`, `oldKey` and account checked; 409 and Location for a key in use."""
    client, other = await acme.client(), await acme.client()
    new = ec.generate_private_key(ec.SECP256R1())
    for wrong in (
        {"nonce": "x"}, {"url": f"{BASE}new-order"}, {"kid": client.kid}, {"jwk": None}, {"oldKey": jwk_of(new)},
        {"account": other.kid}, {"oldKey": None}, {"alg": "HS256"}, {"jwk": other.jwk},
    ):  # fmt: skip
        answer = await change(client, new, **wrong)
        assert answer.kind in ("malformed", "badSignatureAlgorithm"), wrong
    for payload in ({}, {"protected": 1}, b"[]", b"x"):
        assert (await client.post("key-change", payload)).kind == "malformed"
    taken = await change(client, other.key)
    assert (taken.status, taken.kind, taken.headers["Location"]) == (409, "malformed", other.kid)
    assert (await change(client, new)).status == 200


# The end (section 7.3.6)


async def test_closing_an_account_ends_its_orders_and_authorizations(acme: AcmeWorld) -> None:
    """§7.3.6 Deactivation ends pending orders and the use of existing authorizations; others go on."""
    client, other = await acme.client(), await acme.client()
    pending, proven, others = await client.order(A), await client.order(B), await other.order(A)
    ahead = await client.post("new-authz", {"identifier": {"type": "dns", "value": A}})
    await client.post(ahead.json["challenges"][0]["url"], {})
    await client.settled(ahead.headers["Location"])
    await client.prove(proven)
    serial = (await client.certificate(A)).serial
    assert (await client.post(other.kid, {"status": "deactivated"})).kind == "unauthorized"
    closed = await client.post(client.kid, {"status": "deactivated"})
    assert (closed.status, closed.json["status"]) == (200, "deactivated")
    for answer in (await client.order(A), await client.post(client.kid), await client.finalize(proven, B)):
        assert answer.kind == "unauthorized"
    assert (await Client(acme, client.key).post("new-account", {})).kind == "unauthorized"
    for order, status in ((pending, "invalid"), (proven, "invalid"), (others, "pending")):
        stored = await acme.objects.order(order.headers["Location"].rpartition("/")[2])
        assert stored.status == status
    for order in (pending, proven):
        (url,) = order.json["authorizations"]
        assert (await acme.objects.authorization(url.rpartition("/")[2])).status == "deactivated"
    found = await acme.objects.authorization(ahead.headers["Location"].rpartition("/")[2])
    assert found.status == "deactivated"
    assert await acme.directory.issued(serial) is not None


async def test_an_account_closed_in_between_gets_nothing(acme: AcmeWorld) -> None:
    """A finalize that was decided before the end of the account is decided again after it."""
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    account = await acme.objects.account(client.account_id)
    work = await acme.objects.open_work(client.account_id)
    closed = accounts.close_account(account, work, by="test", now=datetime.now(UTC))
    issuing = acme.door._means.issuing
    check = issuing._check_keys

    async def close_first(intent: Any) -> None:
        await check(intent)
        issuing._check_keys = check
        await acme.store.commit(closed.writes)

    issuing._check_keys = close_first
    assert (await client.finalize(order, A)).kind == "unauthorized"
    assert await acme.directory.issued_count() == 0


# External account binding (section 7.3.4)


async def make_key(acme: AcmeWorld, key_id: str = "key-1", **said: Any) -> None:
    now = said.pop("now", datetime.now(UTC))
    await acme.store.commit(external.make_key(key_id, Secret(SECRET), by="test", now=now, **said).writes)


def binding(client: Client, secret: bytes = SECRET, jwk: Any = None, **said: Any) -> dict[str, str]:
    head = {"alg": "HS256", "kid": "key-1", "url": f"{BASE}new-account", **said}
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(head["alg"], hashlib.sha256)
    protected, payload = encode(json.dumps(head).encode()), encode(json.dumps(jwk or client.jwk).encode())
    mac = hmac.new(secret, f"{protected}.{payload}".encode(), digest).digest()
    return {"protected": protected, "payload": payload, "signature": encode(mac)}


@pytest.fixture
def closed(acme: AcmeWorld) -> AcmeWorld:
    """A door where accounts need an external key."""
    acme.settings = Acme(external_account_required=True)
    return acme


async def test_an_external_key_opens_one_account(closed: AcmeWorld) -> None:
    """§7.3.4 Inner url and key are the outer ones; the HS256 family only; one use."""
    await make_key(closed)
    client = Client(closed)
    assert (await closed.ask("GET", "directory")).json["meta"]["externalAccountRequired"] is True
    refused = await client.post("new-account", {})
    assert (refused.status, refused.kind) == (403, "externalAccountRequired")
    other = jwk_of(ec.generate_private_key(ec.SECP256R1()))
    for wrong, kind in (
        (binding(client, b"x" * 32), "unauthorized"), (binding(client, kid="key-2"), "unauthorized"),
        (binding(client, jwk=other), "malformed"), (binding(client, url=f"{BASE}new-order"), "malformed"),
        (binding(client, nonce="x"), "malformed"), (binding(client, alg="none"), "badSignatureAlgorithm"),
        (binding(client, alg="ES256"), "badSignatureAlgorithm"), (binding(client, kid=5), "malformed"),
        ({}, "malformed"), ("x", "malformed"), ([], "malformed"),
    ):  # fmt: skip
        assert (await client.post("new-account", {"externalAccountBinding": wrong})).kind == kind
    assert (await client.post("new-account", {"externalAccountBinding": binding(client)})).status == 201
    second = Client(closed)
    again = await second.post("new-account", {"externalAccountBinding": binding(second)})
    assert again.kind == "unauthorized"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_reusable_key_opens_many(closed: AcmeWorld, algorithm: str) -> None:
    await make_key(closed, reusable=True)
    for _ in range(2):
        client = Client(closed)
        made = await client.post("new-account", {"externalAccountBinding": binding(client, alg=algorithm)})
        assert made.status == 201


async def test_a_key_that_ended_or_was_removed_opens_nothing(closed: AcmeWorld) -> None:
    await make_key(closed, lifetime=timedelta(hours=1), now=datetime.now(UTC) - timedelta(hours=2))
    await make_key(closed, "key-2")
    found = await closed.objects.external_key("key-2")
    await closed.store.commit(external.take_back(found, by="test", now=datetime.now(UTC)).writes)
    client = Client(closed)
    for key_id, secret in (("key-1", SECRET), ("key-2", SECRET), ("key-2", b"")):
        wish = {"externalAccountBinding": binding(client, secret, kid=key_id)}
        assert (await client.post("new-account", wish)).kind == "unauthorized"
    assert SECRET not in repr(found).encode()


async def test_what_a_key_limits_is_enforced_also_when_it_was_removed(closed: AcmeWorld) -> None:
    closed.written["short"] = Profile("short", timedelta(minutes=10), acme=True)
    await make_key(closed, names=("a.test.internal", "10.0.0.0/8"), profile="short")
    client = Client(closed)
    made = await client.post("new-account", {"externalAccountBinding": binding(client)})
    client.kid = made.headers["Location"]
    for removed in (False, True):
        if removed:
            found = await closed.objects.external_key("key-1")
            await closed.store.commit(external.take_back(found, by="test", now=datetime.now(UTC)).writes)
        assert (await client.order(B)).kind == "rejectedIdentifier"
        assert (await client.order(A, profile="default")).kind == "invalidProfile"
        order = await client.order(A)
        assert order.json["profile"] == "short"
        ahead = await client.post("new-authz", {"identifier": {"type": "dns", "value": B}})
        assert ahead.kind == "rejectedIdentifier"


async def test_an_account_whose_key_is_gone_gets_nothing(closed: AcmeWorld) -> None:
    """Without the key nobody knows what the account was limited to."""
    await make_key(closed)
    client = Client(closed)
    made = await client.post("new-account", {"externalAccountBinding": binding(client)})
    client.kid = made.headers["Location"]
    assert (await client.order(A)).status == 201
    account = await closed.objects.account(client.account_id)
    from handsel.authority.acme.model import Saved

    await closed.store.commit((Saved(replace(account, external_key="key-0")),))
    assert (await client.order(A)).kind == "unauthorized"
