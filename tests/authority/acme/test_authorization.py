"""Authorizations and challenges over the real door (RFC 8555, section 7.5)."""

from __future__ import annotations

import asyncio
import base64

from handsel.acme.problems import Problem
from tests.authority.acme.world import AcmeWorld

A, B = "a.test.internal", "b.test.internal"


async def ahead(client: object, name: str, kind: str = "dns") -> object:
    return await client.post("new-authz", {"identifier": {"type": kind, "value": name}})


async def test_a_challenge_is_started_by_post_of_an_empty_object(acme: AcmeWorld) -> None:
    """§7.5.1 The reply carries `Link: rel="up"` and Retry-After while it is looked at; a fetch starts nothing."""
    acme.hold = asyncio.Event()
    client = await acme.client()
    order = await client.order(A)
    (url,) = order.json["authorizations"]
    first = (await client.post(url)).json["challenges"][0]
    fetched = await client.post(first["url"])
    assert (fetched.json["status"], "Retry-After" in fetched.headers) == ("pending", False)
    for wrong in (b"[]", b"x", b'"a"'):
        assert (await client.post(first["url"], wrong)).kind == "malformed"
    assert not acme.seen
    started = await client.post(first["url"], {})
    assert started.json["status"] == "processing"
    assert started.links("up") == [url]
    assert int(started.headers["Retry-After"]) > 0
    assert "Retry-After" in (await client.post(url)).headers
    acme.hold.set()
    found = await client.settled(url)
    assert found["status"] == "valid"
    (only,) = found["challenges"]  # §7.1.4 only the one that succeeded
    assert (only["url"], only["status"]) == (first["url"], "valid")
    assert only["validated"].endswith("Z")


async def test_a_challenge_is_looked_at_once(acme: AcmeWorld) -> None:
    """§8.2 Retries are bounded: asked again, nothing is looked at again; a failed one is not tried again."""
    client = await acme.client()
    order = await client.order("else.test.internal")
    (url,) = order.json["authorizations"]
    challenges = (await client.post(url)).json["challenges"]
    for _ in range(3):
        await client.post(challenges[0]["url"], {})
    shown = await client.settled(url)
    assert (shown["status"], len(acme.seen)) == ("invalid", 1)
    acme.controlled.add("else.test.internal")
    await client.post(challenges[0]["url"], {})
    assert (await client.post(challenges[1]["url"], {})).kind == "malformed"
    assert len(acme.seen) == 1
    assert shown["challenges"][0]["error"]["type"].endswith(":incorrectResponse")
    assert (await client.post(f"{challenges[0]['url']}x", {})).status == 404


async def test_tokens_cannot_be_guessed(acme: AcmeWorld) -> None:
    """§11.3 At least 128 random bits, base64url; §8.1 the probe gets the account's thumbprint with the token."""
    client = await acme.client()
    order = await client.order(A, B)
    tokens = [
        each["token"] for url in order.json["authorizations"] for each in (await client.post(url)).json["challenges"]
    ]
    assert len(set(tokens)) == 6
    for token in tokens:
        assert len(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))) >= 16
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    await client.prove(order)
    assert {(token in tokens, thumbprint) for _, _, token, thumbprint in acme.seen} == {(True, client.thumbprint)}


async def test_a_wildcard_is_proven_by_dns_alone(acme: AcmeWorld) -> None:
    """§7.1.4 The base name, `wildcard: true`, dns-01 only; one valid challenge makes the authorization valid."""
    client = await acme.client()
    order = await client.order(f"*.{A}", A)
    wild, plain = [(await client.post(url)).json for url in order.json["authorizations"]]
    assert (wild["wildcard"], wild["identifier"]["value"]) == (True, A)
    assert [each["type"] for each in wild["challenges"]] == ["dns-01"]
    assert "wildcard" not in plain
    assert [each["type"] for each in plain["challenges"]] == ["http-01", "dns-01", "tls-alpn-01"]
    await client.prove(order)
    assert (await client.finalize(order, f"*.{A}", A)).json["status"] == "valid"


async def test_an_authorization_is_given_up(acme: AcmeWorld) -> None:
    """§7.5.2 Deactivation: the order that needs it is invalid."""
    client = await acme.client()
    order = await client.order(A)
    await client.prove(order)
    (url,) = order.json["authorizations"]
    answer = await client.post(url, {"status": "deactivated"})
    assert (answer.status, answer.json["status"]) == (200, "deactivated")
    assert (await client.post(order.headers["Location"])).json["status"] == "invalid"
    assert (await client.post(url, {"status": "deactivated"})).kind == "malformed"
    assert (await client.post(url, {"status": "valid"})).json["status"] == "deactivated"


async def test_what_was_proven_ahead_is_used_by_orders(acme: AcmeWorld) -> None:
    """§7.4.1 newAuthz refuses wildcards and names that may not be had; proven ahead, an order is ready at once."""
    client, other = await acme.client(), await acme.client()
    assert (await ahead(client, f"*.{A}")).kind == "rejectedIdentifier"
    assert (await ahead(client, "server.handsel.test.internal")).status in (201, 403, 400)
    for wrong in ({}, {"identifier": 5}, {"identifier": {"type": "dns"}}):
        assert (await client.post("new-authz", wrong)).kind == "malformed"
    made = await ahead(client, A)
    assert (made.status, made.json["status"]) == (201, "pending")
    challenge = made.json["challenges"][0]
    assert (await client.order(A)).json["status"] == "pending"
    await client.post(challenge["url"], {})
    await client.settled(made.headers["Location"])
    order = await client.order(A)
    assert order.json["status"] == "ready"
    assert order.json["authorizations"] == [made.headers["Location"]]
    assert (await other.order(A)).json["status"] == "pending"
    assert (await client.order(f"*.{A}")).json["status"] == "pending"  # not what was proven
    assert (await client.finalize(order, A)).json["status"] == "valid"
    await client.post(made.headers["Location"], {"status": "deactivated"})
    assert (await client.order(A)).json["status"] == "pending"


async def test_a_mistake_while_looking_leaves_nothing_hanging(acme: AcmeWorld) -> None:
    client = await acme.client()
    acme.controlled = None  # type: ignore[assignment]  # the probe breaks
    order = await client.order(A)
    await client.prove(order)
    (url,) = order.json["authorizations"]
    shown = (await client.post(url)).json
    assert (shown["status"], len(acme.bugs)) == ("invalid", 1)
    assert shown["challenges"][0]["error"]["type"].endswith(":serverInternal")


async def test_a_withdrawn_authorization_stays_so_though_the_probe_succeeds(acme: AcmeWorld) -> None:
    acme.hold = asyncio.Event()
    client = await acme.client()
    order = await client.order(A)
    (url,) = order.json["authorizations"]
    await client.post((await client.post(url)).json["challenges"][0]["url"], {})
    await client.post(url, {"status": "deactivated"})
    acme.hold.set()
    await asyncio.gather(*acme.door._means.probing._under_way.values())
    assert (await client.post(url)).json["status"] == "deactivated"
    assert (await client.post(order.headers["Location"])).json["status"] == "invalid"


def test_a_problem_has_no_empty_subproblems() -> None:
    """§6.7 Left out when there are none."""
    assert "subproblems" not in Problem("dns", "x").to_json()
    inner = Problem("dns", "y")
    assert Problem("compound", "x", subproblems=[inner]).to_json()["subproblems"] == [inner.to_json()]
